#!/usr/bin/env python3
"""Many records, and a host that is killed again and again: no record may be without its reply or dead letter, and with
exactly-once none may have one twice.

    make kill-run RECORDS=100000 KILLS=10 DELIVERY=exactly-once
"""

import argparse
import os
import random
import sys
import tempfile
import time
from contextlib import contextmanager

from host import Host
from kafka.broker import BrokerError, Cluster
from kafka.client import Client
from ledger import ROUTE, Ledger

PARTITIONS = 6
AT_ONCE = 5000
QUICK_TAKEOVER = {"properties": {"session.timeout.ms": "3000", "heartbeat.interval.ms": "300"}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--delivery", choices=["at-least-once", "exactly-once"], default="at-least-once")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="for the same moments again")
    options = parser.parse_args()
    print(f"{options.records} records, {options.kills} kills, {options.delivery}, --seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder, a_broker(folder) as kafka:
        host = Host(folder, kafka, "kill-run", {"kafka": {**QUICK_TAKEOVER, **delivery(options.delivery)}})
        host.handler("work", partitions=PARTITIONS, **ROUTE)
        try:
            return report(run(host, options))
        finally:
            host.discard()


def delivery(word):
    """A host that keeps its name ends what it left open when it was killed; nobody waits for a timeout."""
    return {"delivery": word, **({"instance_id": "kill-run"} if word == "exactly-once" else {})}


@contextmanager
def a_broker(folder, settings=None):
    if own := os.environ.get("CALLGATE_TEST_BOOTSTRAP"):
        yield Client(own)
        return
    cluster = Cluster(f"{folder}/kafka", settings=settings).start(watch=os.getpid())
    try:
        yield Client(cluster.bootstrap)
    finally:
        cluster.wipe()


def run(host, options):
    chance = random.Random(options.seed)
    ledger = Ledger(host, "work", options.seed)
    began = time.monotonic()
    for sent in range(0, options.records, AT_ONCE):
        ledger.send(min(AT_ONCE, options.records - sent))
    print(f"{time.monotonic() - began:7.1f} s  all records are in their topic", flush=True)
    host.start(ready=False)
    moments = sorted(chance.sample(range(1, options.records * 9 // 10), options.kills))
    for number, moment in enumerate(moments, 1):
        ledger.kill(after=moment)
        host.start(ready=False)
        print(f"{time.monotonic() - began:7.1f} s  kill {number}, after {moment} replies", flush=True)
    ledger.await_ends(options.records)
    print(f"{time.monotonic() - began:7.1f} s  all records have ended", flush=True)
    status = host.stop()
    if status != 0:
        print(f"the host's last exit status was {status}")
    return ledger


def report(ledger):
    summary = ledger.summary()
    print(f"""
records sent                                    {summary.sent:8}
without the reply or dead letter they must have {len(summary.lost):8}
ends that should not be                         {len(summary.strange):8}
ends that came once more                        {len(summary.repeated):8}
of these, explained by no fault                 {len(summary.beyond):8}""")
    for number, fault in enumerate(ledger.checker.faults, 1):
        print(f"  after kill {number}: {sum(again.fault is fault for again in summary.repeated):5}")
    findings = list(summary.findings())
    print(*findings, sep="\n")
    return 1 if findings else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokerError as error:
        sys.exit(f"kill_run.py: {error}")
