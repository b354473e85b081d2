"""Produces lines, or prints what a group consumes, with confluent-kafka."""
import os
import sys

from confluent_kafka import Consumer, KafkaError, Producer

verb, server, protocol, mechanism, ca, user, password, topic, group = sys.argv[1:]


def told(error):
    if error and error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._ALL_BROKERS_DOWN):
        if verb == "produce":
            print(error, file=sys.stderr, flush=True)
            os._exit(1)  # or it tries until its messages' time is over


options = {"bootstrap.servers": server, "security.protocol": protocol, "error_cb": told}
if protocol.startswith("SASL"):
    options.update({"sasl.mechanism": mechanism, "sasl.username": user, "sasl.password": password})
if protocol.endswith("SSL"):
    options["ssl.ca.location"] = ca
if verb == "produce":
    producer, failed = Producer({**options, "message.timeout.ms": 20000}), []
    for line in sys.stdin:
        producer.produce(topic, line.rstrip("\n"), on_delivery=lambda error, _: error and failed.append(error))
    assert producer.flush(30) == 0 and not failed, failed
else:
    consumer = Consumer({**options, "group.id": group, "auto.offset.reset": "latest", "allow.auto.create.topics": True, "session.timeout.ms": 6000})
    consumer.subscribe([topic])
    while True:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            print("%s:%d:%d: key=%s value=%s" % (message.topic(), message.partition(), message.offset(), message.key(), message.value()), flush=True)
