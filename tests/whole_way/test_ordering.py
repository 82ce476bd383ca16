"""Which records wait for one another: those of a partition, those of a key, none."""

import random
from itertools import groupby

import pytest
from committed import Committed

QUICK_TAKEOVER = {"properties": {"session.timeout.ms": "3000", "heartbeat.interval.ms": "300"}}

CALLS = {"operation": "POST /{call}", "path": {"call": "header:call"},
         "query": {"attempt": "header:attempt", "ms": "header:ms"}}
"""The record says what the guest is to do."""

FOR_EVER = {"deadline": "5m", "retry": {"attempts": 1}}
IN_AN_HOUR = {"attempts": 2, "backoff": "1h", "max_backoff": "1h"}


@pytest.fixture
def host(new_host):
    return new_host(kafka=QUICK_TAKEOVER, tenant={
        "max_memory": "2MiB", "max_in_flight": 1000, "max_deadline": "10m",
        # What a call may need is reserved, and hundreds are called at once.
        "max_headers": 32, "max_header_bytes": "4KiB", "max_response_body": "64KiB"})


def record(host, call, number=0, key=None, **headers):
    return {"key": key, "headers": [("reply-to", host.replies.encode()), ("correlation-id", str(number).encode()),
                                    ("call", call.encode()),
                                    *((name, str(value).encode()) for name, value in headers.items())]}


def send(host, handler, *records):
    return host.kafka.send_all(host.topic(handler), records)


def numbers(replies):
    return [int(reply.header("correlation-id")) for reply in replies]


@pytest.mark.parametrize("ordering", ["partition", "key"])
def test_replies_come_in_order_with_retries_in_between(host, ordering):
    host.handler("work", ordering=ordering, max_in_flight=200, **CALLS,
                 retry={"attempts": 4, "backoff": "2ms", "max_backoff": "5ms"})
    host.start()
    chance, count, keys = random.Random(7), 1000, 20

    def drawn(number):
        key = f"key {chance.randrange(keys)}".encode()
        if chance.random() < 0.1:
            return record(host, "fail-until", number, key, attempt=chance.randint(2, 3))
        return record(host, "sleep", number, key, ms=chance.randrange(3))

    send(host, "work", *(drawn(number) for number in range(count)))
    replies = host.kafka.log(host.replies).at_least(count)
    assert sorted(numbers(replies)) == list(range(count)), "each once"
    lanes = {"partition": lambda reply: None, "key": lambda reply: reply.key}[ordering]
    for lane, members in groupby(sorted(replies, key=lambda reply: lanes(reply) or b""), lanes):
        in_order = numbers(sorted(members, key=lambda reply: reply.offset))
        assert in_order == sorted(in_order), f"{lane} is out of order"


def test_a_retry_holds_back_its_own_key_and_nothing_else(host):
    host.handler("work", ordering="key", **CALLS, retry=IN_AN_HOUR)
    host.handler("other", ordering="key", **CALLS, retry=IN_AN_HOUR)
    host.start()
    waiting = record(host, "fail-until", 0, b"held", attempt=2)
    behind = [record(host, "echo", number, b"held") for number in range(1, 5)]
    others = [record(host, "echo", number, key) for number, key in enumerate([b"free", None, None, b"", b"free"], 10)]
    send(host, "work", waiting, *behind, *others)
    send(host, "other", record(host, "echo", 20, b"held"))
    host.kafka.log(host.replies).at_least(len(others) + 1)
    host.ask("work", key=b"free", headers=[("call", b"echo")])
    assert {b"%d" % number for number in (*range(10, 15), 20)} <= answered(host), "in another topic it is another key"
    assert not {b"%d" % number for number in range(5)} & answered(host)
    assert host.kafka.committed(host.group, host.topic("work"))[0] == 0


@pytest.mark.parametrize("ordering, key", [("unordered", b"same"), ("key", None)])
def test_hundreds_of_one_partition_are_called_at_once(host, ordering, key):
    host.handler("work", ordering=ordering, max_in_flight=300, **CALLS, **FOR_EVER)
    host.start()
    send(host, "work", *(record(host, "sleep", number, key) for number in range(220)))
    host.ask("work", key=key, headers=[("call", b"echo")])


@pytest.mark.parametrize("bound", ["route", "tenant"])
def test_no_more_are_called_at_once_than_route_and_tenant_allow(new_host, bound):
    host = new_host(tenant={"max_in_flight": 3 if bound == "tenant" else 100, "max_deadline": "10m"})
    host.handler("work", ordering="unordered", max_in_flight=3, **CALLS, **FOR_EVER)
    host.handler("other", max_in_flight=3, **CALLS, **FOR_EVER)
    host.start()
    send(host, "work", *(record(host, "sleep", number) for number in range(3)))
    one_more = "other" if bound == "tenant" else "work"
    # Nothing is promised of their order, so some may be called before the last of the three is.
    waits = next(number for number in range(10, 100) if not is_answered(host, one_more, number))
    for _ in range(5):
        needs_no_call(host)
    assert b"%d" % waits not in answered(host)


def is_answered(host, handler, number):
    send(host, handler, record(host, "echo", number))
    needs_no_call(host)
    return b"%d" % number in answered(host)


def needs_no_call(host):
    """It goes on whatever is being called."""
    assert host.dead_letter(host.send("work", headers=[("reply-to", b"a topic that may not be addressed")]))


def answered(host):
    return {reply.header("correlation-id") for reply in host.kafka.log(host.replies).all()}


@pytest.mark.parametrize("ordering", ["key", "unordered"])
def test_what_ended_behind_a_waiting_record_is_not_done_again(host, ordering):
    """More than a bitmap could say: 30,000 records."""
    count = 30_000
    host.handler("work", ordering=ordering, max_in_flight=64, **CALLS, retry=IN_AN_HOUR)
    host.start()
    [waiting] = send(host, "work", record(host, "fail-until", 0, b"held", attempt=2))
    sent = send(host, "work", *(record(host, "fail-until", number, b"%d" % (number % 997))
                                for number in range(1, count)))
    last = max(record.offset for record in sent)

    def committed():
        return Committed.read(*host.kafka.commits(host.group, waiting.topic)[0])

    host.until(lambda: committed().covers(last) and len(committed().ended) == count - 1, "has not said what ended",
               pause=0.5)
    assert committed().offset == waiting.offset
    before = host.kafka.size(host.replies) + host.kafka.size(f"{waiting.topic}-dlt")
    host.kill()
    host.start()
    [more] = send(host, "work", record(host, "echo", count, b"more"))
    host.until(lambda: committed().covers(more.offset), "does not go on")
    assert host.kafka.size(host.replies) + host.kafka.size(f"{waiting.topic}-dlt") == before + 1
    assert committed().offset == waiting.offset
