"""Three brokers, of which one after another dies: those that lead partitions, and those that coordinate the group and its
transactions, are others then."""

import pytest
from kafka.client import Client
from ledger import ROUTE, Ledger
from soak import CLUSTER

RECORDS = 600


@pytest.fixture(scope="module")
def cluster(a_broker):
    return a_broker(nodes=3, settings=CLUSTER)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_each_broker_dies_in_turn(cluster, new_host, delivery):
    host = new_host(client=Client(cluster.bootstrap), kafka={"delivery": delivery})
    host.handler("work", partitions=3, **ROUTE)
    ledger = Ledger(host, "work")
    host.start()
    for node in cluster.nodes:
        ledger.send(RECORDS)
        # It may be that the group loses its member meanwhile: then what had not been committed comes again.
        ledger.checker.fault()
        cluster.kill(node)
        ledger.send(RECORDS)
        ledger.await_ends(len(ledger.sent))
        cluster.restart(node)
        host.until(ledger.checker.is_quiet, "has not committed all that it ended", pause=0.5)
        ledger.checker.healed()
    ledger.assert_whole()
    assert host.stop() == 0
