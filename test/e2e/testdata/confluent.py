"""Produces and consumes with confluent-kafka, over SASL_SSL with host names verified."""
import sys

from confluent_kafka import Consumer, Producer

server, ca, user, password = sys.argv[1:]
topic = "confluent"
common = {"bootstrap.servers": server, "security.protocol": "SASL_SSL", "ssl.ca.location": ca,
          "sasl.mechanism": "SCRAM-SHA-256", "sasl.username": user, "sasl.password": password}
errors = []
for codec in ("gzip", "snappy", "lz4", "zstd"):
    producer = Producer({**common, "compression.type": codec, "enable.idempotence": True})
    for i in range(25):
        producer.produce(topic, key="k%d" % i, value="v%d" % i, headers=[("h", b"x")],
                         on_delivery=lambda error, _: error and errors.append(error))
    assert producer.flush(20) == 0
assert not errors, errors
consumer = Consumer({**common, "group.id": "confluent", "auto.offset.reset": "earliest", "enable.auto.commit": False})
consumer.subscribe([topic])
seen = 0
while seen < 100:
    message = consumer.poll(20)
    assert message is not None and message.error() is None, message and message.error()
    assert message.offset() == seen, message.offset()
    seen += 1
consumer.commit(asynchronous=False)
consumer.close()
print("%d records of 4 codecs, and a group" % seen)
