"""Produces lines, or prints what a group consumes, with the newest kafka-python."""
import logging
import ssl
import sys

from kafka import KafkaConsumer, KafkaProducer

verb, server, protocol, mechanism, ca, user, password, topic, group = sys.argv[1:]
options = dict(bootstrap_servers=server, security_protocol=protocol)
if protocol.startswith("SASL"):
    options.update(sasl_mechanism=mechanism, sasl_plain_username=user, sasl_plain_password=password)
if protocol.endswith("SSL"):
    options.update(ssl_context=ssl.create_default_context(cafile=ca))
if verb == "produce":
    logging.basicConfig(level=logging.WARNING)  # why it gives up stands there alone
    producer = KafkaProducer(acks="all", bootstrap_timeout_ms=5000, **options)
    for line in sys.stdin.buffer:
        producer.send(topic, line.rstrip(b"\n")).get(timeout=30)
    producer.close()
else:
    for message in KafkaConsumer(topic, group_id=group, session_timeout_ms=6000, heartbeat_interval_ms=1000, **options):
        print("%s:%d:%d: key=%s value=%s" % (message.topic, message.partition, message.offset, message.key, message.value), flush=True)
