"""Guests that take longer than a client of Kafka may: the host stays what it is, and nobody else waits."""

import time

from ledger import ROUTE
from test_exactly_once import transactions

LONGER_THAN_A_TRANSACTION = 12_000
"""Milliseconds: a transaction is open for 10 s at most."""


def sleep(ms, **record):
    return {"headers": [("call", b"sleep"), ("ms", b"%d" % ms), ("reply-to", record["reply_to"].encode()),
                        ("correlation-id", record["name"])]}


def test_a_guest_that_is_slower_than_a_transaction_may_be(new_host):
    """No transaction waits for it, and what ended meanwhile is to be seen."""
    host = new_host(kafka={"delivery": "exactly-once"})
    topic = host.handler("work", ordering="unordered", **{**ROUTE, "deadline": "30s"})
    host.start()
    [slow] = host.kafka.send_all(topic, [sleep(LONGER_THAN_A_TRANSACTION, name=b"slow", reply_to=host.replies)])
    until, asked = time.monotonic() + LONGER_THAN_A_TRANSACTION / 1000 - 2, 0
    while time.monotonic() < until:
        host.kafka.send_all(topic, [sleep(1, name=b"%d" % asked, reply_to=host.replies)])
        host.reply(b"%d" % asked)
        asked += 1
    assert host.reply(b"slow").header("status-code") == b"200"
    host.await_end(slow)
    assert transactions(host)["aborted"] == 0
    assert len(host.kafka.log(host.replies).all()) == asked + 1
    assert host.stop() == 0


def test_every_guest_is_at_its_deadline(new_host):
    """In each partition, for longer than a group waits for a member that does not poll."""
    host = new_host(kafka={"properties": {"max.poll.interval.ms": "5000", "session.timeout.ms": "5000"}})
    topic = host.handler("work", partitions=3, **{**ROUTE, "deadline": "4s", "retry": {"attempts": 2, "backoff": "10ms"}})
    host.start()
    before = rebalances(host)
    sent = host.kafka.send_all(topic, [
        {**sleep(3_600_000, name=b"%d" % number, reply_to=host.replies), "partition": number % 3} for number in range(6)])
    for number, record in enumerate(sent):
        assert host.reply(b"%d" % number).header("status-code") == b"504"
        assert host.dead_letter(record).text("x-callgate-dlt-attempts") == "2"
    for record in sent:
        host.await_end(record)
    assert rebalances(host) == before, "nobody was thrown out of the group"
    assert len(host.kafka.log(host.replies).all()) == len(sent)
    assert host.stop() == 0


def rebalances(host):
    return [line for line in host.get("/metrics")[1].splitlines() if line.startswith("callgate_rebalances_total{")]
