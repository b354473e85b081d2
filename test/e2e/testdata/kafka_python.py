"""Produces and consumes with the newest kafka-python, over SASL_SSL with host names verified."""
import ssl
import sys

from kafka import KafkaConsumer, KafkaProducer

server, ca, user, password = sys.argv[1:]
topic = "kafka-python-new"
context = ssl.create_default_context(cafile=ca)
common = dict(bootstrap_servers=server, security_protocol="SASL_SSL", ssl_context=context,
              sasl_mechanism="SCRAM-SHA-512", sasl_plain_username=user, sasl_plain_password=password)
sent = 0
for codec in (None, "gzip", None, "gzip"):
    producer = KafkaProducer(acks="all", compression_type=codec, **common)
    for i in range(25):
        producer.send(topic, key=b"k%d" % i, value=b"v%d" % i, headers=[("h", b"x")]).get(timeout=20)
        sent += 1
    producer.close()
consumer = KafkaConsumer(topic, group_id="new", auto_offset_reset="earliest", **common)
seen = []
for message in consumer:
    assert message.offset == len(seen) and message.headers == [("h", b"x")], message
    seen.append(message.value)
    if len(seen) == sent:
        break
consumer.commit()
consumer.close()
print("%d records of 4 codecs, and a group" % len(seen))
