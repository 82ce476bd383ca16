#!/usr/bin/env python3
"""Four hosts on three brokers, with faults all the time: what must hold holds at the end, and held whenever it was looked.

    make soak MINUTES=30
    make soak MINUTES=30 SEED=123 ORDERING=partition RATE=700 CALLGATE_BIN=target/release/callgate

Two sides run at once: two hosts that deliver at least once, and two that deliver exactly once. Each has a group, topics and
records of its own, at a steady rate, among them records that fail, that trap, that are slow and that hang. After each
fault, all that was sent by then must end and be committed before the next one. Progress goes to stderr; a table, and
one line of JSON, to stdout.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack

from host import CALLGATE, Host
from kafka.broker import BrokerError, Cluster
from kafka.client import PATIENCE, Client
from ledger import KINDS, ROUTE, Kind, Ledger
from meanwhile import meanwhile
from nemesis import WEIGHTS, Nemesis

DELIVERIES = ("at-least-once", "exactly-once")
PARTITIONS = 6
RATE = 700
"""Records a second, of both sides together."""
BACKLOG = 10_000
"""Of one side: beyond it, sending waits for the hosts."""

SESSION = 6
"""Seconds after which a group takes a silent host for dead. One that only waits for a processor must not be."""
PROPERTIES = {"session.timeout.ms": str(SESSION * 1000), "heartbeat.interval.ms": "500"}
CLUSTER = {"broker.session.timeout.ms": 9000, "broker.heartbeat.interval.ms": 1000}
"""On a busy machine a broker that lives must not be taken for dead: the faults are to be those of the run."""

SLOW_MS = 50
DEADLINE = "1s"
MAX_CPU = "100ms"

HARD = (
    *(kind._replace(share=kind.share * 100) for kind in KINDS),
    Kind("slow", 500, "sleep", None, asks=True, replies=True, dies=False, ms=SLOW_MS),
    Kind("spinning", 2, "spin", None, asks=True, replies=True, dies=True),
    Kind("hanging", 1, "sleep", None, asks=True, replies=True, dies=True),
)
"""Some take a while; some never come to an end."""

RETRY = {"attempts": 4, "backoff": "10ms", "max_backoff": "20ms"}
"""Twice as many as a record needs that is to recover: a call that stood still with its host may be at its deadline."""


class Side:
    """The hosts of one group, and the books of its records."""

    session = SESSION

    def __init__(self, folder, bootstrap, delivery, ordering, seed):
        os.mkdir(folder)
        self.delivery = delivery
        host = Host(folder, Client(bootstrap), delivery, {
            "kafka": {"delivery": delivery, "properties": PROPERTIES},
            "tenant": {"max_cpu": MAX_CPU, "max_memory": "8MiB"}})
        host.handler("work", partitions=PARTITIONS, ordering=ordering, max_in_flight=32,
                     **{**ROUTE, "deadline": DEADLINE, "retry": RETRY})
        self.guest = host.twin()
        self.hosts = [host, host.twin()]
        # One of them is a static member, with transactional ids that stay the same.
        host.environment = {**host.environment, "CALLGATE__KAFKA__INSTANCE_ID": "first"}
        self.ledger = Ledger(host, "work", seed, ordering)

    def feed(self, rate, since):
        """Sends what is due, unless too much waits already."""
        sent = len(self.ledger.sent)
        count = min(int((time.monotonic() - since) * rate) - sent, BACKLOG - self.ledger.lacking())
        if count > 0:
            self.ledger.send(count, kinds=HARD)

    def await_work(self):
        """Until something ends: so that a fault meets hosts at work."""
        before = len(self.ledger.ends)
        self.until(lambda: len(self.ledger.ends) > before, "does nothing", pause=0.01)

    def end(self, host):
        """In order."""
        status = host.stop()
        assert status == 0, f"a host ended with status {status}:\n{host.log()[-3000:]}"

    def heal(self):
        """Waits until all that was sent by now has ended and is committed: however it goes on, it must."""
        count = len(self.ledger.sent)
        self.until(lambda: self.ledger.checker.broken or self.ledger.checker.covers(count), f"has not ended all of {count}")
        self.ledger.checker.healed()

    def until(self, condition, complaint, pause=0.2):
        """Waits for something that all of its hosts must live to see."""
        give_up = time.monotonic() + PATIENCE
        while not condition():
            for host in self.hosts:
                ended = host.process.poll()
                assert ended is None, f"a host ended with status {ended}:\n{host.log()[-3000:]}"
            assert time.monotonic() < give_up, f"{self.delivery} {complaint}: {self.waiting()}"
            time.sleep(pause)

    def waiting(self):
        """For whoever looks for the reason."""
        uncovered = self.ledger.checker.uncovered()
        return (f"{self.ledger.lacking()} records lack their ends, {len(uncovered)} are not committed, the first: "
                f"{[self.ledger.sent[number] for number in uncovered[:1]]}")

    def quiet(self):
        """Waits until everything is committed, and no transaction is open."""
        kafka, ledger = self.hosts[0].kafka, self.ledger
        self.until(lambda: ledger.checker.broken or ledger.checker.is_quiet(), "has not committed all that it ended")
        for topic in (self.hosts[0].replies, f"{ledger.topic}-dlt"):
            self.until(lambda: kafka.stable_size(topic) == kafka.size(topic), f"has a transaction open on {topic}")

    def told(self, code):
        """How often the hosts' logs say so."""
        return sum(host.log().count(code) for host in (*self.hosts, self.guest) if host.log_file.exists())

    def rebalances(self):
        """As one of the two has seen them, which was not there all the time."""
        return max(host.log().count("partitions assigned") for host in self.hosts)


class Soak:
    def __init__(self, folder, cluster, ordering="key", rate=RATE, seed=0, out=sys.stderr):
        self.sides = [Side(f"{folder}/{delivery}", cluster.bootstrap, delivery, ordering, seed) for delivery in DELIVERIES]
        self.rate = rate
        self.chance = random.Random(seed)
        self.nemesis = Nemesis(self.sides, cluster, self.chance)
        self.out = out
        self.began = time.monotonic()
        self._checks = []

    def some(self, seconds):
        """Faults of chance, as long as there is time."""
        while time.monotonic() - self.began < seconds:
            yield self.chance.choices(list(WEIGHTS), weights=WEIGHTS.values())[0]

    def run(self, faults):
        """Does these, one after another; then it is quiet. Gives the figures of each side, and what must not be."""
        for host in [host for side in self.sides for host in side.hosts]:
            host.start()
        self.began = time.monotonic()
        with ExitStack() as watching:
            self._checks += [watching.enter_context(side.ledger.checker.watching()) for side in self.sides]
            with ExitStack() as feeding:
                self._checks += [feeding.enter_context(meanwhile(lambda side=side: side.feed(self.rate / 2, self.began), 0.1))
                                 for side in self.sides]
                time.sleep(1)
                self._heal("all hosts are at work")
                for fault in faults:
                    self._say(fault.replace("_", " "))
                    self.nemesis.strike(fault)
                    self._heal("healed")
                    if any(side.ledger.checker.broken for side in self.sides):
                        break
            self._heal("no more faults")
            for side in self.sides:
                side.quiet()
        for side in self.sides:
            for host in side.hosts:
                side.end(host)
        return [figures(side) for side in self.sides]

    def discard(self):
        for side in self.sides:
            side.hosts[0].discard()
            side.hosts[0].kafka.close_logs()

    def _heal(self, what):
        for check in self._checks:
            check()
        for side in self.sides:
            side.heal()
        self._say(what)

    def _say(self, what):
        sent, waiting = (sum(count) for count in zip(*((len(side.ledger.sent), side.ledger.lacking())
                                                       for side in self.sides)))
        print(f"{time.monotonic() - self.began:7.1f} s {sent:9} sent {waiting:6} waiting "
              f"{self.nemesis.counts['faults']:5} faults  {what}", file=self.out, flush=True)


def figures(side):
    """What came of its records, and what the hosts say of themselves."""
    summary = side.ledger.summary()
    return {
        "delivery": side.delivery,
        "records sent": summary.sent,
        "lost": len(summary.lost),
        "ends that no record was to have": len(summary.strange),
        "ends that came once more": len(summary.repeated),
        "of these, explained by no fault": len(summary.beyond),
        "the oldest of them, ms before its fault": round(max((again.age for again in summary.repeated), default=0)),
        "out of order": len(summary.disorder),
        "commits that said what was not so": len(summary.broken),
        "rebalances": side.rebalances(),
        "partitions lost": side.told("run.partitions-lost"),
        "transactions written again": side.told("run.transaction-aborted"),
        "transactions in doubt": side.told("run.transaction-in-doubt"),
        "findings": list(summary.findings()),
    }


def report(soak, sides):
    """The table and the line of JSON; the status to end with."""
    print()
    for name in sides[0]:
        if name != "findings":
            print(f"{name:40}" + "".join(f"{side[name]:>15}" for side in sides))
    print()
    for name, count in sorted(soak.nemesis.counts.items()):
        print(f"{name:40}{count:15}")
    minutes = round((time.monotonic() - soak.began) / 60, 1)
    print(f"{'minutes':40}{minutes:15}")
    findings = [f"{side['delivery']}: {finding}" for side in sides for finding in side["findings"]]
    print("", *(findings or ["nothing was lost, and nothing came in a wrong order or more often than a fault explains"]), "",
          sep="\n")
    print(json.dumps({"sides": sides, "done": dict(soak.nemesis.counts), "minutes": minutes}))
    return 1 if findings else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--ordering", choices=["partition", "key", "unordered"], default="key")
    parser.add_argument("--rate", type=float, default=RATE, help="records a second")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="for the same faults again")
    options = parser.parse_args()
    print(f"{options.minutes} minutes, ordering {options.ordering}, {options.rate} records/s, SEED={options.seed}, "
          f"{CALLGATE}", flush=True)
    folder = tempfile.mkdtemp(prefix="soak-")
    cluster = Cluster(f"{folder}/kafka", nodes=3, settings=CLUSTER).start(watch=os.getpid())
    status = 1
    try:
        soak = Soak(folder, cluster, options.ordering, options.rate, options.seed)
        try:
            status = report(soak, soak.run(soak.some(options.minutes * 60)))
        finally:
            soak.discard()
    finally:
        for node in cluster.nodes:
            cluster.kill(node)
        if status == 0:
            shutil.rmtree(folder)
        else:
            print(f"what hosts and brokers say is in {folder}", file=sys.stderr)
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokerError as error:
        sys.exit(f"soak.py: {error}")
