"""Whether a transaction was committed is not known: its end was sent, and no answer came. Each record has its effect once."""

import time

import pytest
from kafka.client import Client
from kafka.proxy import Proxy
from ledger import ROUTE, Ledger

RECORDS = 1500
KAFKA = {"delivery": "exactly-once"}


@pytest.fixture
def ledger(proxy, a_broker, new_host):
    """The host goes through the proxy, and nobody else does."""
    cluster = a_broker(proxy=proxy.address)
    proxy.start(cluster.behind_proxy)
    host = new_host(client=Client(cluster.bootstrap))
    host.configure(kafka={**KAFKA, "bootstrap_servers": proxy.address})
    host.handler("work", partitions=2, **ROUTE)
    yield Ledger(host, "work")
    host.discard()
    cluster.wipe()


@pytest.mark.parametrize("trouble", [Proxy.lose_requests, Proxy.lose_answers, Proxy.hold],
                         ids=["it-does-not-arrive", "its-answer-does-not", "it-arrives-late"])
def test_nobody_knows_whether_it_was_committed(ledger, proxy, trouble):
    host, kafka = ledger.host.start(), ledger.host.kafka
    ledger.send(RECORDS)
    ledger.await_replies(RECORDS // 10)
    trouble(proxy)
    ledger.send(RECORDS)
    host.until(lambda: in_doubt(host), "does not say that it is in doubt", pause=0.2)
    # The next transaction of the same producer's name is open by then, and an end that comes late must not be its end.
    time.sleep(1)
    proxy.let_go()
    ledger.await_ends(len(ledger.sent))
    host.until(ledger.checker.is_quiet, "has not committed all that it ended")
    summary = ledger.assert_whole()
    assert not summary.repeated
    assert kafka.stable_size(host.replies) == kafka.size(host.replies), "no transaction is open"
    assert host.stop() == 0


def in_doubt(host):
    return "run.transaction-in-doubt" in host.log()
