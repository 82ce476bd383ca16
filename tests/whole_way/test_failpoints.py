"""A host that dies at each of its steps, in the middle of a step or between two: another one goes on, and nothing is lost."""

import uuid

import pytest
from ledger import KINDS, ROUTE, Kind, Ledger

PARTITIONS = 4
SLOW = Kind("slow", 2, "sleep", None, asks=True, replies=True, dies=False, ms=20)
"""So that work goes on for longer than one commit or transaction."""

STEPS = ("after-poll", "after-call", "before-produce", "after-produce", "when-acknowledged", "before-commit", "after-commit")


@pytest.fixture
def a_host(new_host, with_faults):
    """Makes a host with that fault."""
    hosts = []

    def make(fault, **kafka):
        host = new_host(kafka=kafka)
        host.executable = with_faults
        host.environment = {"CALLGATE_PLANTED_FAULT": fault}
        hosts.append(host)
        return host

    yield make
    for host in hosts:
        host.discard()


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
@pytest.mark.parametrize("step", STEPS)
def test_a_host_dies_there_and_comes_back(a_host, step, delivery):
    host = a_host(f"die-{step}", delivery=delivery, instance_id=f"host-{uuid.uuid4().hex[:8]}")
    host.handler("work", partitions=PARTITIONS, ordering="key", **ROUTE)
    ledger = Ledger(host, "work", ordering="key")
    host.start()
    host.until(lambda: feed(ledger) and host.process.poll() is not None, "does not die", pause=0.2, alive=False)
    ledger.checker.fault()
    host.environment = {"CALLGATE_PLANTED_FAULT": "none"}
    host.start(ready=False)
    ledger.await_ends(len(ledger.sent))
    host.until(ledger.checker.is_quiet, "has not committed all that it ended")
    ledger.assert_whole()
    assert host.stop() == 0


def feed(ledger):
    """A commit comes twice a second, a transaction when there is something to say: so there must be."""
    ledger.send(100, kinds=[*KINDS, SLOW])
    return True


def test_a_record_at_which_the_host_itself_fails(a_host):
    """Its partition stops and names it; the others go on, and a sound host goes on with it."""
    host = a_host("fail-at-record")
    topic = host.handler("work", "POST /echo", partitions=2)
    host.start()

    def send(value, partition):
        return host.send("work", value, partition=partition, headers=[("reply-to", host.replies.encode())])

    host.await_end(send(b"before", 0))
    fatal, behind = send(b"fail", 0), send(b"behind", 0)
    stopped = f"{topic}-0 is stopped: the host failed at its record of offset {fatal.offset}"
    host.until(lambda: stopped in host.get("/readyz")[1], "does not name the record")
    host.await_end(send(b"beside", 1))
    assert 'reason="host-failed"' in host.get("/metrics")[1]
    assert host.stop() == 0
    assert host.kafka.committed(host.group, topic)[0] == fatal.offset
    host.environment = {"CALLGATE_PLANTED_FAULT": "none"}
    host.start()
    host.await_end(behind)
    assert len(host.kafka.log(host.replies).all()) == 4
