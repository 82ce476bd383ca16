"""Topics of replies that are not there yet, or whose broker is down: only the records that name them wait, or are refused,
and only for as long as that is so."""

import struct
import time
import uuid

import pytest
from confluent_kafka.admin import NewPartitions, NewTopic
from kafka.client import PATIENCE, Client
from soak import CLUSTER

DELIVERIES = ["at-least-once", "exactly-once"]
OTHERS = 10
FEW = 10
"""Requests, half a second between them, that may still be refused when their topic has been made."""


@pytest.fixture(scope="module")
def cluster(a_broker):
    return a_broker(nodes=3, settings=CLUSTER)


@pytest.fixture(params=DELIVERIES)
def host(new_host, request):
    host = new_host(kafka={"delivery": request.param})
    host.handler("work", "POST /echo")
    return host.start()


def on_one_broker(kafka, topic, node):
    kafka.admin.create_topics([NewTopic(topic, num_partitions=1, replica_assignment=[[node]])])[topic].result(PATIENCE)


def back(topic):
    return [("reply-to", topic.encode())]


def ended(host, name):
    return sum(host.kafka.committed(host.group, host.topic(name)).values())


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_a_reply_topic_whose_broker_is_down_holds_up_nobody_else(cluster, new_host, delivery):
    host = new_host(client=Client(cluster.bootstrap), kafka={"delivery": delivery})
    host.handler("work", "POST /echo")
    host.handler("other", "POST /echo", ordering="unordered")
    away = host.topic("away")
    on_one_broker(host.kafka, away, 3)
    host.start()
    host.await_end(host.send("work", headers=back(away)))
    cluster.kill(3)
    held = host.send("work", headers=back(away))
    for _ in range(OTHERS):
        host.send("other", headers=back(host.replies))
    host.until(lambda: ended(host, "other") == OTHERS, "does not end the records of the others")
    if delivery == "exactly-once":
        host.until(lambda: away in host.get("/readyz")[1], "does not say what it waits for")
        assert "run.reply-unwritable" in host.log()
    assert ended(host, "work") == 1
    cluster.restart(3)
    host.await_end(held)
    host.until(lambda: "is stopped" not in host.get("/readyz")[1], "does not go on")
    assert len(host.kafka.log(away).at_least(2)) == 2
    assert not host.has_dead_letters(held)
    assert host.stop() == 0


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_an_error_reply_that_no_broker_takes_is_dropped(cluster, new_host, delivery):
    host = new_host(client=Client(cluster.bootstrap), kafka={"delivery": delivery})
    host.handler("work", "POST /fail-until", query={"attempt": "header:attempt"}, retry={"attempts": 1})
    away = host.topic("away")
    on_one_broker(host.kafka, away, 3)
    host.start()
    host.await_end(host.send("work", headers=back(away)))
    cluster.kill(3)
    failed = host.send("work", headers=[*back(away), ("attempt", b"9")])
    last = [host.send("work", headers=back(host.replies)) for _ in range(OTHERS)][-1]
    host.await_end(last)
    assert host.dead_letter(failed).text("x-callgate-dlt-reason") == "status"
    assert "run.answer-dropped" in host.log()
    assert len(host.kafka.log(host.replies).at_least(OTHERS)) == OTHERS
    cluster.restart(3)
    assert host.stop() == 0


def is_answered(host, topic, headers=()):
    """Whether a request gets its reply there, and not a dead letter."""
    before = host.kafka.size(topic)
    request = host.send("work", headers=[*back(topic), *headers, ("correlation-id", uuid.uuid4().bytes)])
    host.await_end(request)
    return host.kafka.size(topic) > before and host.kafka.log(topic).all()[-1].text("status-code") == "200"


def soon_answered(host, topic, headers=()):
    for _ in range(FEW):
        if is_answered(host, topic, headers):
            return True
        time.sleep(0.5)
    return False


def test_a_reply_topic_that_is_made_later_is_used_soon(host):
    topic = host.topic("later")
    refused = host.send("work", headers=back(topic))
    host.await_end(refused)
    assert host.dead_letter(refused).text("x-callgate-dlt-reason") == "reply-failed"
    host.kafka.create(topic)
    assert soon_answered(host, topic)
    assert host.stop() == 0


def test_a_reply_topic_that_is_made_anew_is_used_soon(host):
    topic = host.topic("anew")
    host.kafka.create(topic)
    assert soon_answered(host, topic)
    host.kafka.delete(topic)
    refused = host.send("work", headers=back(topic))
    host.until(lambda: ended(host, "work") > refused.offset, "does not end what cannot be answered")
    host.kafka.create(topic)
    host.kafka.close_logs()
    assert soon_answered(host, topic)
    assert host.stop() == 0


def test_a_partition_that_is_added_to_a_reply_topic_may_be_named_soon(host):
    topic = host.topic("grows")
    host.kafka.create(topic)
    assert soon_answered(host, topic)
    host.kafka.admin.create_partitions([NewPartitions(topic, 3)])[topic].result(PATIENCE)
    host.kafka.close_logs()
    assert soon_answered(host, topic, [("kafka_replyPartition", struct.pack(">i", 2))])
    assert host.stop() == 0


def test_a_dead_letter_is_dated_now_where_its_topic_does_not_take_the_records_time(new_host):
    host = new_host(kafka={"delivery": "exactly-once"}, tenant={"dead_letter_timestamp": "original"})
    topic = host.handler("work", "POST /trap", retry={"attempts": 1})
    host.kafka.configure(topic, message_timestamp_after_max_ms=2**62)
    host.start()
    ahead = int((time.time() + 10 * 24 * 3600) * 1000)
    host.kafka.send_all(topic, [{"value": b"", "timestamp": ahead}])
    host.until(lambda: ended(host, "work") == 1, "does not end a record of the future")
    letter = host.kafka.log(f"{topic}-dlt").at_least(1)[0]
    assert letter.timestamp < ahead
    assert host.stop() == 0
