"""A checker that never finds anything shows nothing: hosts with faults planted in them, each of which it must find."""

import time

import pytest
from kafka.client import PATIENCE
from ledger import KINDS, ROUTE, Kind, Ledger

QUICK_TAKEOVER = {"properties": {"session.timeout.ms": "3000", "heartbeat.interval.ms": "300"}}
PARTITIONS = 2
RECORDS = 400
IMPATIENCE = 15
"""Seconds without anything new after which a host with a fault is taken to be stuck. A sound one is waited for as long as
elsewhere.
"""

AT_FIRST = [kind for kind in KINDS if kind.name in ("answered", "refused", "unheard", "silent")]
"""Records that end with their first call."""
SLOW = Kind("slow", 1, "sleep", None, asks=True, replies=True, dies=False)


@pytest.fixture
def a_ledger(new_host, with_faults):
    """Makes a host with that fault, and the books of its records."""
    hosts = []

    def make(fault, ordering="partition", dead_letters=None, delivery="at-least-once", **route):
        host = new_host(kafka={**QUICK_TAKEOVER, "delivery": delivery}, tenant={"create_dead_letter_topic": False})
        host.executable = with_faults
        host.environment = {"CALLGATE_PLANTED_FAULT": fault}
        topic = host.handler("work", partitions=PARTITIONS, ordering=ordering, max_in_flight=16, **{**ROUTE, **route})
        host.kafka.create(f"{topic}-dlt", partitions=PARTITIONS, **(dead_letters or {}))
        hosts.append(host)
        return Ledger(host, "work", ordering=ordering)

    yield make
    for host in hosts:
        host.discard()


def until(condition, patience, progress=lambda: None):
    """Whether it has come about. It is waited for as long as there is progress: as the value of that changes."""
    before, give_up = None, 0
    while not condition():
        now = progress()
        if give_up == 0 or now != before:
            before, give_up = now, time.monotonic() + patience
        if time.monotonic() > give_up:
            return False
        time.sleep(0.1)
    return True


def quietness(ledger, patience):
    """Waits until all is committed, or enough is known; what is missing then does not come any more."""
    if until(lambda: ledger.checker.broken or ledger.checker.is_quiet(), patience, ledger.progress):
        return []
    return ["I4: not everything is committed"]


# Where faults show


def quiet(a_ledger, fault, patience):
    """Nothing goes wrong."""
    ledger = a_ledger(fault)
    with ledger.checker.watching():
        ledger.host.start()
        ledger.send(RECORDS, kinds=[*KINDS, SLOW._replace(ms=100)])
        return ledger, quietness(ledger, patience)


def some_take_long(a_ledger, fault, patience):
    """The last calls are so long that a commit which covers one of them is seen before it has ended."""
    ledger = a_ledger(fault, deadline="30s")
    with ledger.checker.watching():
        ledger.host.start()
        ledger.send(RECORDS // 4)
        ledger.send(3 * PARTITIONS, kinds=[SLOW._replace(ms=5_000)])
        return ledger, quietness(ledger, patience)


def quiet_exactly_once(a_ledger, fault, patience):
    """The same, in transactions."""
    ledger = a_ledger(fault, delivery="exactly-once")
    with ledger.checker.watching():
        ledger.host.start()
        ledger.send(RECORDS, kinds=[*KINDS, SLOW._replace(ms=100)])
        return ledger, quietness(ledger, patience)


def killed_while_one_waits(a_ledger, fault, patience):
    """Killed when all have ended but one, which waits for its next attempt: nothing else may come again."""
    ledger = a_ledger(fault, ordering="key", retry={"attempts": 2, "backoff": "1h", "max_backoff": "1h"})
    kafka, host = ledger.host.kafka, ledger.host
    with ledger.checker.watching():
        host.start()
        held = host.send("work", key=b"held", partition=0, headers=[("call", b"fail-until"), ("attempt", b"1000")])
        ledger.send(RECORDS, kinds=AT_FIRST)
        if not until(lambda: ledger.checker.sample() and not ledger.checker.uncovered(), patience, ledger.progress):
            return ledger, ["I2: no commit says what has ended behind a record that waits"]
        host.kill()
        ledger.checker.fault()
        host.start()
        ledger.send(RECORDS // 10, kinds=AT_FIRST)
        if not until(lambda: ledger.checker.sample() and not ledger.checker.uncovered(), patience, ledger.progress):
            return ledger, ["I4: it does not go on"]
        if kafka.committed(host.group, ledger.topic)[0] != held.offset:
            return ledger, ["I5: the record that waits was passed"]
        return ledger, []


def handed_over(a_ledger, fault, patience):
    """A second host takes half of the partitions, in the middle of calls for which nobody waits so long."""
    ledger = a_ledger(fault, ordering="unordered", deadline="30s")
    with ledger.checker.watching():
        ledger.host.start()
        ledger.send(8, kinds=[SLOW._replace(ms=15_000)])
        assert until(lambda: gauge(ledger.host, "records_held") == 8, PATIENCE)
        ledger.checker.fault()
        twin = ledger.host.twin().start()
        assert until(lambda: gauge(twin, "partitions_assigned") > 0, PATIENCE)
        ledger.send(RECORDS // 4)
        return ledger, quietness(ledger, patience + 40)


def handed_over_exactly_once(a_ledger, fault, patience):
    """A sound host takes half of the partitions, in the middle of a transaction."""
    ledger = a_ledger(fault, delivery="exactly-once")
    with ledger.checker.watching():
        ledger.host.start()
        ledger.send(RECORDS, kinds=[*KINDS, SLOW._replace(ms=100)])
        twin = ledger.host.twin()
        twin.environment = {**twin.environment, "CALLGATE_PLANTED_FAULT": "none"}
        twin.start()
        assert until(lambda: gauge(twin, "partitions_assigned") > 0, PATIENCE)
        ledger.send(RECORDS // 4)
        return ledger, quietness(ledger, patience + 40)


def gauge(host, name):
    lines = host.get("/metrics")[1].splitlines()
    return sum(int(line.rpartition(" ")[2]) for line in lines if line.startswith(f"callgate_{name}{{"))


def unwritable_dead_letters(a_ledger, fault, patience):
    """The topic of dead letters takes nothing at first."""
    ledger = a_ledger(fault, dead_letters={"max_message_bytes": 10})
    host = ledger.host
    with ledger.checker.watching():
        host.start()
        ledger.send(RECORDS // 4)
        until(lambda: ledger.checker.broken or "is stopped" in host.get("/readyz")[1], patience)
        host.kafka.configure(f"{ledger.topic}-dlt", max_message_bytes=1_000_000)
        return ledger, quietness(ledger, patience)


PLANTED = {
    "commit-early": (some_take_long, "I1"),
    "swallow-trap": (quiet, "I1"),
    "drop-answer": (quiet, "I1"),
    "end-twice": (some_take_long, "I1"),
    "commit-what-was-taken-in": (some_take_long, "I1"),
    "outdated-metadata": (quiet, "I1"),
    "reply-twice": (quiet, "I2"),
    "answer-first": (quiet, "I2"),
    "attempts-off-by-one": (quiet, "I2"),
    "no-hops": (quiet, "I2"),
    "retry-loses-place": (quiet, "I3"),
    "wrong-lane": (quiet, "I3"),
    "never-commit": (quiet, "I4"),
    "lose-metadata": (killed_while_one_waits, "I2"),
    "ignore-metadata": (killed_while_one_waits, "I2"),
    "skip-first": (killed_while_one_waits, "I1"),
    "no-fence": (handed_over, "I1"),
    "offsets-outside-of-transaction": (quiet_exactly_once, "I4"),
    "commit-after-revoke": (handed_over_exactly_once, "I2"),
    "ignore-failed-dead-letter": (unwritable_dead_letters, "I1"),
    "never-resume": (unwritable_dead_letters, "I4"),
}
"""Each fault, where it shows, and which invariant is found broken."""


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(a_ledger, fault):
    scenario, invariant = PLANTED[fault]
    ledger, found = scenario(a_ledger, fault, IMPATIENCE)
    found += ledger.summary().findings()
    assert any(finding.startswith(invariant) for finding in found), f"found instead: {found}"


@pytest.mark.parametrize("scenario", [quiet, some_take_long, quiet_exactly_once, killed_while_one_waits, handed_over,
                                      handed_over_exactly_once, unwritable_dead_letters])
def test_without_a_fault_nothing_is_found(a_ledger, scenario):
    ledger, found = scenario(a_ledger, "none", PATIENCE)
    assert not [*found, *ledger.summary().findings()]
