#!/usr/bin/env python3
"""Two hosts on three brokers, with faults all the time: what must hold holds at the end, and held whenever it was looked.

    make soak MINUTES=30
    make soak MINUTES=30 DELIVERY=exactly-once ORDERING=partition SEED=123
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter

from host import Host
from kafka.broker import BrokerError, Cluster
from kafka.client import Client
from ledger import KINDS, ROUTE, Kind, Ledger

PARTITIONS = 6
BACKLOG = 8000
"""Records that lie ready, so that a fault meets hosts at work."""
AT_ONCE = 2000
SESSION = 3
"""Seconds after which the group takes a silent host for dead."""
SETTINGS = {"properties": {"session.timeout.ms": str(SESSION * 1000), "heartbeat.interval.ms": "300"}}

CLUSTER = {"broker.session.timeout.ms": 9000, "broker.heartbeat.interval.ms": 1000}
"""On a busy machine a broker that lives must not be taken for dead: the faults are to be those of the run."""

HARD = [
    *(kind._replace(share=kind.share * 20) for kind in KINDS),
    Kind("slow", 20, "sleep", None, asks=True, replies=True, dies=False),
    Kind("hanging", 1, "spin", None, asks=True, replies=True, dies=True),
]
"""Some take 50 ms; some never come to an end."""


class Soak:
    def __init__(self, folder, cluster, delivery="at-least-once", ordering="key", seed=0, out=sys.stderr):
        self.cluster = cluster
        self.chance = random.Random(seed)
        self.out = out
        self.began = time.monotonic()
        self.counts = Counter()
        host = Host(folder, Client(cluster.bootstrap), "soak", {
            "kafka": {**SETTINGS, "delivery": delivery}, "tenant": {"max_cpu": "200ms", "max_memory": "8MiB"}})
        host.handler("work", partitions=PARTITIONS, ordering=ordering, max_in_flight=32,
                     **{**ROUTE, "deadline": "1s"})
        self.ledger = Ledger(host, "work", seed, ordering)
        self.hosts = [host, host.twin()]

    FAULTS = ("kill_host", "stop_host", "restart_host", "storm", "kill_broker", "restart_broker")

    def in_turn(self):
        """Each fault once, in an order of chance."""
        return self.chance.sample(self.FAULTS, len(self.FAULTS))

    def until(self, end):
        """One fault after another, as long as there is time."""
        while time.monotonic() < end:
            yield self.chance.choice(self.FAULTS)

    def run(self, faults):
        """These faults, then quiet; gives the summary."""
        with self.ledger.checker.watching():
            self.feed()
            for host in self.hosts:
                host.start(ready=False)
            for fault in faults:
                self.counts[fault] += 1
                getattr(self, fault)()
                self.make_progress()
                self.tell(fault.replace("_", " "))
            self.tell("no more faults")
            self.ledger.await_ends(len(self.ledger.sent), self.hosts[0])
            self.hosts[0].until(self.ledger.checker.is_quiet, "has not committed all that it ended", pause=0.5)
        for host in self.hosts:
            assert host.stop() == 0, host.log()[-3000:]
        return self.ledger.summary()

    def feed(self):
        while (waiting := len(self.ledger.sent) - self.ledger.read()) < BACKLOG:
            self.ledger.send(min(AT_ONCE, BACKLOG - waiting), kinds=HARD, ms=50)

    def make_progress(self):
        """However it goes on, it must."""
        self.feed()
        before = self.ledger.read()
        self.hosts[0].until(lambda: self.ledger.read() > before + AT_ONCE // 2, "makes no progress", pause=0.2)

    def tell(self, what):
        ended = len(self.ledger.sent) - self.ledger.lacking()
        print(f"{time.monotonic() - self.began:7.1f} s  {ended:8} of {len(self.ledger.sent):8} ended  "
              f"{sum(self.counts.values()):4} faults  {what}", file=self.out, flush=True)

    # What goes wrong

    def kill_host(self):
        host = self.chance.choice(self.hosts)
        host.kill()
        self.ledger.checker.fault()
        host.start(ready=False)

    def stop_host(self):
        """For longer than the group waits: it is thrown out, and does not know."""
        host = self.chance.choice(self.hosts)
        host.process.send_signal(signal.SIGSTOP)
        self.ledger.checker.fault()
        time.sleep(SESSION + 2)
        host.process.send_signal(signal.SIGCONT)

    def restart_host(self):
        """In order: it drains. What takes longer than it waits may come again."""
        host = self.chance.choice(self.hosts)
        self.ledger.checker.fault()
        assert host.stop() == 0, host.log()[-3000:]
        host.start(ready=False)

    def storm(self):
        """A third host comes and goes, again and again."""
        for _ in range(self.chance.randint(1, 4)):
            self.ledger.checker.fault()
            third = self.hosts[0].twin().start(ready=False)
            time.sleep(self.chance.uniform(0, 4))
            self.ledger.checker.fault()
            if self.chance.random() < 0.5:
                third.kill()
            else:
                assert third.stop() == 0, third.log()[-3000:]

    def kill_broker(self):
        self._bounce(self.cluster.kill)

    def restart_broker(self):
        def stop(node):
            self.cluster.signal(node, signal.SIGTERM)
            if not self.cluster.ends(node):
                self.cluster.kill(node)
        self._bounce(stop)

    def _bounce(self, end):
        """What was sent and not acknowledged may be sent again."""
        node = self.chance.choice(self.cluster.nodes)
        self.ledger.checker.fault()
        end(node)
        time.sleep(self.chance.uniform(0, 3))
        self.cluster.restart(node)
        self.ledger.checker.fault()


def report(soak, summary):
    findings = list(summary.findings())
    print(f"""
records sent                                    {summary.sent:8}
without the reply or dead letter they must have {len(summary.lost):8}
ends that should not be                         {len(summary.strange):8}
ends that came once more                        {summary.repeated:8}
of these, explained by no fault                 {len(summary.beyond):8}
out of order                                    {len(summary.disorder):8}
commits that said what was not so               {len(summary.broken):8}
""")
    for fault, count in sorted(soak.counts.items()):
        print(f"{fault.replace('_', ' '):20} {count:5}")
    print(*findings, sep="\n")
    return 1 if findings else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--delivery", choices=["at-least-once", "exactly-once"], default="at-least-once")
    parser.add_argument("--ordering", choices=["partition", "key", "unordered"], default="key")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="for the same faults again")
    options = parser.parse_args()
    print(f"{options.minutes} minutes, {options.delivery}, ordering {options.ordering}, SEED={options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(f"{folder}/kafka", nodes=3, settings=CLUSTER).start(watch=os.getpid())
        soak = Soak(folder, cluster, options.delivery, options.ordering, options.seed)
        try:
            return report(soak, soak.run(soak.until(soak.began + options.minutes * 60)))
        finally:
            soak.hosts[0].discard()
            cluster.wipe()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokerError as error:
        sys.exit(f"soak.py: {error}")
