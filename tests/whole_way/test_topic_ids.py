"""A commit says for which topic it was made: one that is deleted and made again has another id under the same name."""

import pytest
from committed import Committed
from confluent_kafka import TopicCollection
from kafka.client import PATIENCE


@pytest.fixture(scope="module")
def host(new_host):
    host = new_host()
    host.handler("work", "POST /status/200")
    return host.start()


def topic_id(kafka, topic):
    described = kafka.admin.describe_topics(TopicCollection([topic]))[topic].result(PATIENCE).topic_id
    halves = (described.get_most_significant_bits(), described.get_least_significant_bits())
    return b"".join(half.to_bytes(8, "big", signed=True) for half in halves)


def committed(host, topic):
    """The offset of partition 0, and the topic's id that stands beside it."""
    position = Committed.read(*host.kafka.commits(host.group, topic)[0])
    return position.offset, position.topic_id


def test_a_topic_that_is_made_again_stops(host):
    kafka, topic = host.kafka, host.topic("work")
    host.await_end(host.send("work"))
    assert committed(host, topic) == (1, topic_id(kafka, topic))

    kafka.delete(topic)
    kafka.create(topic)
    # More than the old one held, so that its offset would be a place in the new one.
    waiting = [host.send("work") for _ in range(5)]
    host.until(lambda: f"{topic}-0 is stopped" in host.get("/readyz")[1], "does not name the stopped partition")
    assert "run.topic-recreated" in host.log()
    host.stop()

    # As the alert says: with no host running, a person sets the offset.
    kafka.set_offset(host.group, topic, 0, 0)
    host.start()
    host.await_end(waiting[-1])
    assert committed(host, topic) == (5, topic_id(kafka, topic))


def test_a_topic_made_anew_is_no_first_start(new_host):
    """The group would begin at the end, had it never had an offset; but it has had one."""
    host = new_host(kafka={"first_start": "latest"})
    topic = host.handler("work", "POST /echo")
    host.handler("other", "POST /echo")
    host.start()
    host.await_end(host.send("work"))
    host.kafka.delete(topic)
    host.until(lambda: "run.partitions-lost" in host.log(), "does not see its topic go")
    host.kafka.create(topic)
    host.kafka.close_logs()
    sent = [host.send("work", headers=[("reply-to", host.replies.encode()), ("correlation-id", b"%d" % number)])
            for number in range(5)]
    host.await_end(sent[-1])
    replies = host.kafka.log(host.replies).all()
    assert sorted(reply.text("correlation-id") for reply in replies) == ["0", "1", "2", "3", "4"]
    assert host.stop() == 0
