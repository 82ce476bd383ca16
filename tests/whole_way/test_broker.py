"""The tests' own tools: a broker that dies and comes back, and a client that sees what is there."""

import uuid

from confluent_kafka import Producer
from kafka.client import Client
from kafka.partitioner import murmur2


def test_headers_come_back_as_they_went(kafka):
    headers = [("twice", b"1"), ("bytes", bytes(range(256))), ("twice", b"2"), ("empty", b""), ("null", None)]
    topic = f"tools-{uuid.uuid4()}"
    kafka.create(topic)
    kafka.send(topic, None, b"", headers)
    [record] = kafka.log(topic).all()
    assert (record.key, record.value, record.headers) == (b"", None, headers)


def test_what_was_aborted_is_not_seen(kafka):
    topic = f"tools-{uuid.uuid4()}"
    kafka.create(topic)
    producer = Producer({**kafka.settings, "transactional.id": topic})
    producer.init_transactions()
    for value, end in ((b"aborted", producer.abort_transaction), (b"committed", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush()
        end()
    assert [record.value for record in kafka.log(topic).all()] == [b"committed"]


def test_a_killed_broker_comes_back_with_its_records(a_broker):
    cluster = a_broker()
    client = Client(cluster.bootstrap)
    client.create("kept")
    client.send("kept", b"before")
    cluster.kill()
    assert not cluster.alive()
    cluster.restart()
    client.send("kept", b"after")
    assert [record.value for record in client.log("kept").at_least(2)] == [b"before", b"after"]


def test_murmur2_is_that_of_java():
    """The values of the test that Kafka itself has."""
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536,
             b"a-little-bit-longer-string": -1486304829, b"abc": 479470107}
    assert {key: murmur2(key) - (1 << 32) * (murmur2(key) >> 31) for key in known} == known
