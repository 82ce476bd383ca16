"""A short soak run: what `make soak` does for half an hour, once with each sort of fault that must not be missed."""

import pytest
from soak import CLUSTER, Soak

FAULTS = ("kill_hosts", "storm", "kill_broker_and_hosts", "stop_hosts")
RATE = 200


@pytest.fixture
def soak(tmp_path, a_broker):
    soak = Soak(tmp_path, a_broker(nodes=3, settings=CLUSTER), rate=RATE)
    yield soak
    soak.discard()


@pytest.mark.timeout(1200)
def test_hosts_and_brokers_die_and_nothing_is_lost(soak):
    findings = [finding for side in soak.run(FAULTS) for finding in side["findings"]]
    assert not findings, "\n".join(findings)
