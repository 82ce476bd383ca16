"""A commit says for which topic it was made: one that is deleted and made again has another id under the same name."""

import base64
import re

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicCollection, TopicPartition
from kafka.client import PATIENCE


@pytest.fixture(scope="module")
def host(new_host):
    host = new_host()
    host.handler("work", "POST /sleep", query={"ms": "header:ms"}, deadline="30s")
    return host.start()


def send(host, ms):
    """A record that takes the handler so long."""
    return host.send("work", headers=[("ms", b"%d" % ms)])


def topic_id(kafka, topic):
    described = kafka.admin.describe_topics(TopicCollection([topic]))[topic].result(PATIENCE).topic_id
    halves = (described.get_most_significant_bits(), described.get_least_significant_bits())
    return b"".join(half.to_bytes(8, "big", signed=True) for half in halves)


def committed(host, topic):
    """The offset of partition 0, and the topic's id that stands beside it."""
    asked = host.kafka.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(host.group)])[host.group]
    positions = [each for each in asked.result(PATIENCE).topic_partitions if each.topic == topic]
    return [(each.offset, base64.b64decode(each.metadata.removeprefix("callgate/1:") + "==")[1:17])
            for each in positions]


def set_offset(host, topic, offset):
    consumer = Consumer({**host.kafka.settings, "group.id": host.group})
    consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
    consumer.close()


def test_a_topic_that_was_made_again_stops(host):
    kafka, topic = host.kafka, host.topic("work")
    host.await_end(send(host, 0))
    first = topic_id(kafka, topic)
    assert committed(host, topic) == [(1, first)]

    # The broker forgets a deleted topic's offsets, but what is still being worked on is committed afterwards.
    send(host, 5000)
    host.until(lambda: re.search(r"records_held{.*} 1\b", host.get("/metrics")[1]), "has not begun")
    kafka.delete(topic)
    kafka.create(topic)
    host.until(lambda: committed(host, topic) == [(2, first)], "has not committed what it worked on")
    host.stop()

    waiting = [send(host, 0) for _ in range(3)]
    host.start(ready=False)
    host.until(lambda: f"{topic}-0" in host.get("/readyz")[1], "does not name the stopped partition")
    assert "deleted and made again since" in host.log()
    host.stop()
    assert committed(host, topic) == [(2, first)], "nothing was committed"

    set_offset(host, topic, 0)
    host.start()
    host.await_end(waiting[-1])
    assert committed(host, topic) == [(3, topic_id(kafka, topic))]
