"""Replies, dead letters and offsets in one transaction: who reads what is committed sees each record's effect once."""

import random
import signal
import time
import uuid

import pytest
from host import Host
from kafka.client import PATIENCE, Client
from ledger import ROUTE, Ledger
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
    assert summary.repeated == 0, f"{summary.repeated} ends came twice"


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
