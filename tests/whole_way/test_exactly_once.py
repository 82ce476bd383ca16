"""Replies, dead letters and offsets in one transaction: who reads what is committed sees each record's effect once."""

import random
import signal
import time
import uuid

import pytest
from confluent_kafka.admin import ResourceType
from kafka.access import USER, acl, allow, login
from kafka.broker import USERS
from kafka.client import Client
from ledger import KINDS, ROUTE, Kind, Ledger
from mischief import answer

EXACTLY_ONCE = {"delivery": "exactly-once",
                "properties": {"session.timeout.ms": "3000", "heartbeat.interval.ms": "300"}}
PARTITIONS = 4


def stable(name="host"):
    """The same host's name over restarts, so that nobody waits for the transactions that it left open."""
    return {**EXACTLY_ONCE, "instance_id": f"{name}-{uuid.uuid4().hex[:8]}"}


@pytest.fixture
def a_ledger(new_host):
    hosts = []

    def make(kafka, client=None, **route):
        host = new_host(kafka=kafka, **({"client": client} if client else {}))
        host.handler("work", partitions=PARTITIONS, **{**ROUTE, **route})
        hosts.append(host)
        return Ledger(host, "work")

    yield make
    for host in hosts:
        host.discard()


def assert_once(ledger):
    summary = ledger.summary()
    assert not summary.lost and not summary.strange, summary
    assert not summary.repeated, f"{len(summary.repeated)} ends came twice"


def transactions(host):
    """How many have ended, by how."""
    ended = dict.fromkeys(("committed", "aborted", "in-doubt"), 0)
    for line in host.get("/metrics")[1].splitlines():
        if line.startswith("callgate_transactions_total{"):
            labels, _, count = line.partition("} ")
            ended[labels.split('end="')[1].rstrip('"')] += int(count)
    return ended


def test_a_reply_and_a_dead_letter_with_its_answer(new_host):
    host = new_host(kafka=EXACTLY_ONCE)
    host.handler("work", "POST /reply-with", retry={"attempts": 1})
    host.start()
    assert host.ask("work", answer(body=b"hello")).value == b"hello"
    request, reply = host.ask_and_keep("work", answer(503))
    assert reply.header("status-code") == b"503"
    assert host.dead_letter(request).header("x-callgate-dlt-reason") == b"status"
    host.await_end(request)
    done = host.send("work", answer())
    host.await_end(done)
    assert transactions(host)["aborted"] == 0
    assert host.stop() == 0


# Hosts that die, hang, come and go


def test_kill_in_the_middle(a_ledger):
    ledger, records, kills = a_ledger(stable()), 3000, 4
    ledger.host.start()
    ledger.send(records)
    for moment in sorted(random.sample(range(1, records * 9 // 10), kills)):
        ledger.kill(after=moment)
        ledger.host.start(ready=False)
    ledger.await_ends(records)
    assert_once(ledger)
    assert_settled(ledger)


def test_kill_of_a_host_without_a_name(a_ledger):
    """Nobody but the broker's timeout ends what it has left open."""
    ledger, records = a_ledger(EXACTLY_ONCE), 2000
    ledger.host.start()
    ledger.send(records)
    ledger.kill(after=records // 3)
    ledger.host.start(ready=False)
    ledger.await_ends(records)
    assert_once(ledger)


@pytest.mark.parametrize("ordering", ["key", "unordered"])
def test_kill_in_another_ordering(a_ledger, ordering):
    """What had ended above the committed offset stands in the same transaction, and is not done again."""
    ledger, records = a_ledger(stable(), ordering=ordering, max_in_flight=64), 3000
    ledger.host.start()
    # Slow ones among them, or all would have ended before the first kill.
    ledger.send(records, kinds=[*KINDS, Kind("slow", 40, "sleep", None, asks=True, replies=True, dies=False, ms=50)])
    for moment in (records // 4, records // 2):
        ledger.kill(after=moment)
        ledger.host.start(ready=False)
    ledger.await_ends(records)
    assert_once(ledger)
    assert_settled(ledger)


def test_a_host_that_was_thought_dead(a_ledger):
    ledger, records = a_ledger(EXACTLY_ONCE), 2000
    ledger.host.start()
    twin = ledger.host.twin().start()
    ledger.send(records)
    ledger.await_replies(records // 10)
    ledger.host.process.send_signal(signal.SIGSTOP)
    time.sleep(5)
    ledger.send(records // 10)
    ledger.await_ends(records // 2, host=twin)
    ledger.host.process.send_signal(signal.SIGCONT)
    ledger.await_ends(records + records // 10, host=twin)
    assert_once(ledger)
    assert ledger.host.stop() == 0
    assert twin.stop() == 0


def test_hosts_come_and_go(a_ledger):
    ledger, records = a_ledger(EXACTLY_ONCE), 4000
    ledger.host.start()
    ledger.send(records)
    for _ in range(2):
        twin = ledger.host.twin().start()
        ledger.send(records // 10)
        assert twin.stop() == 0
    ledger.await_ends(records + 2 * (records // 10))
    assert_once(ledger)
    assert ledger.host.stop() == 0


def test_sigterm_in_the_middle(a_ledger):
    ledger, records = a_ledger(EXACTLY_ONCE), 3000
    ledger.host.start()
    ledger.send(records)
    for moment in (records // 4, records // 2):
        ledger.await_replies(moment)
        assert ledger.host.stop() == 0
        ledger.host.start(ready=False)
    ledger.await_ends(records)
    assert_once(ledger)
    assert ledger.host.stop() == 0


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_broker_restarts(a_broker, a_ledger, end):
    cluster = a_broker()
    ledger, records = a_ledger(EXACTLY_ONCE, client=Client(cluster.bootstrap)), 2000
    ledger.host.start()
    ledger.send(records)
    ledger.await_replies(records // 10)
    getattr(cluster, end)()
    cluster.restart()
    ledger.send(records // 10)
    ledger.await_ends(records + records // 10)
    assert_once(ledger)
    assert_settled(ledger)
    ledger.host.discard()
    cluster.wipe()


def test_a_broker_hangs_for_longer_than_a_transaction(a_broker, a_ledger):
    cluster = a_broker()
    ledger, records = a_ledger(EXACTLY_ONCE, client=Client(cluster.bootstrap)), 2000
    ledger.host.start()
    ledger.send(records)
    ledger.await_replies(records // 10)
    cluster.pause()
    time.sleep(12)
    cluster.resume()
    ledger.send(records // 10)
    ledger.await_ends(records + records // 10)
    assert_once(ledger)
    assert ledger.host.stop() == 0
    cluster.wipe()


# What cannot be written


def test_a_reply_too_large_amid_others(new_host):
    """Compressed, so that only the broker can tell: nobody else of the transaction suffers."""
    host = new_host(kafka={**EXACTLY_ONCE, "properties": {"compression.type": "lz4"}})
    host.handler("work", "POST /reply-with", retry={"attempts": 1})
    small = host.topic("small")
    host.kafka.create(small, max_message_bytes=20_000)
    host.start()
    bodies = [random.randbytes(30_000) if number in (40, 41, 90) else b"%d" % number for number in range(120)]
    requests = host.kafka.send_all(host.topic("work"), [
        {"value": answer(body=body), "headers": [("reply-to", small.encode()), ("correlation-id", b"%d" % number)]}
        for number, body in enumerate(bodies)])
    host.await_end(requests[-1])
    replies = host.kafka.log(small).all()
    by_status = {number: [int(reply.header("correlation-id")) for reply in replies
                          if reply.header("status-code") == number] for number in (b"200", b"500")}
    assert by_status[b"200"] == [number for number in range(120) if number not in (40, 41, 90)], "in order, and once"
    assert sorted(by_status[b"500"]) == [40, 41, 90]
    letters = host.kafka.log(f"{host.topic('work')}-dlt").all()
    assert [letter.header("x-callgate-dlt-reason") for letter in letters] == [b"reply-too-large"] * 3
    assert host.stop() == 0


def test_a_dead_letter_that_cannot_be_written(new_host):
    host = new_host(kafka=EXACTLY_ONCE, tenant={"create_dead_letter_topic": False})
    topic = host.handler("work", "POST /reply-with", retry={"attempts": 1})
    host.start()
    before = host.ask("work", answer(body=b"before"))
    doomed = host.send("work", answer(503), headers=[("reply-to", host.replies.encode()), ("correlation-id", b"d")])
    after = host.send("work", answer(body=b"after"), headers=[("reply-to", host.replies.encode())])
    host.until(lambda: "cannot be written" in host.get("/readyz")[1], "does not name the partition that stands still")
    assert host.kafka.committed(host.group, topic)[0] <= doomed.offset
    assert host.kafka.log(host.replies).all() == [before], "nothing overtakes it"
    host.kafka.create(f"{topic}-dlt")
    host.await_end(after)
    assert host.dead_letter(doomed).header("x-callgate-dlt-reason") == b"status"
    values = [(reply.header("status-code"), reply.value) for reply in host.kafka.log(host.replies).all()]
    assert values[1][0] == b"503" and values[2:] == [(b"200", b"after")]
    assert host.get("/readyz")[0] == 200
    assert host.stop() == 0


# What others see


def test_nothing_is_open_while_there_is_nothing_to_do(new_host):
    host = new_host(kafka=EXACTLY_ONCE)
    host.handler("work", "POST /reply-with")
    host.start()
    for number in range(20):
        assert host.ask("work", answer(body=b"%d" % number)).value == b"%d" % number
    assert host.kafka.stable_size(host.replies) == host.kafka.size(host.replies)
    assert transactions(host)["in-doubt"] == 0


def assert_settled(ledger):
    """No lag, and no transaction open on what was written."""
    host = ledger.host
    host.until(ledger.checker.is_quiet, "has not committed all that it ended")
    assert host.kafka.stable_size(host.replies) == host.kafka.size(host.replies), "a transaction is open"


def test_a_transactional_id_that_may_not_be_used(a_broker, new_host):
    cluster = a_broker(sasl=True)
    setup = Client(cluster.admin)
    host = new_host(client=setup)
    host.configure(kafka={**EXACTLY_ONCE, "bootstrap_servers": cluster.bootstrap,
                          "properties": login("PLAIN", USER, USERS[USER])})
    allow(setup, acl(ResourceType.TOPIC, f"{host.tenant}."), acl(ResourceType.GROUP, host.group))
    host.handler("work", "POST /reply-with")
    host.start()
    request = host.send("work", answer(), headers=[("reply-to", host.replies.encode())])
    host.until(lambda: "no transaction can be begun" in host.get("/readyz")[1], "does not say why nothing goes on")
    allow(setup, acl(ResourceType.TRANSACTIONAL_ID, f"{host.group}."))
    host.await_end(request)
    host.until(lambda: "stopped" not in host.get("/readyz")[1], "does not say that it goes on")
    assert len(setup.log(host.replies).all()) == 1
    assert host.stop() == 0
