"""Each fault of the long run once: hosts that are killed and stopped, brokers that go, members that come and go."""

import os

from soak import Soak


def test_every_fault_once(a_broker, tmp_path):
    seed = int(os.environ.get("CALLGATE_TEST_SEED", 0))
    soak = Soak(tmp_path, a_broker(nodes=3), seed=seed)
    try:
        summary = soak.run(soak.in_turn())
        findings = list(summary.findings())
        assert not findings, "\n".join(findings)
    finally:
        soak.hosts[0].discard()
