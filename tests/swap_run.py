#!/usr/bin/env python3
"""New versions while records flow: what a swap costs those that are on their way.

    make swap-run MINUTES=5 SWAPS=30

One handler answers at a steady rate, 80 % of what the host carries. In turn, nothing happens for a while, and then a new
version of its component is put into the deploy directory SWAPS times a minute, each with other bytes, so that each is
compiled. At the end every request must have its reply, with the status of a success, and no record may have failed.

One processor is left to the broker and to this script: the host has a worker for each of the others. Progress goes to
stderr; a table and one line of JSON a phase to stdout.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from confluent_kafka import TopicPartition

from bench.orders import coffee_order
from bench.programs import build
from host import GUESTS, Host, other_bytes
from isolation import rate
from kafka.broker import BrokerError
from kafka.client import PATIENCE
from kill_run import a_broker
from load import Load

PARTITIONS = 4
OFFERED = 0.8
CAPACITY_RECORDS = 60_000
WARM_UP = 3
AT_ONCE = 5000

LATER = 1.5
"""What is expected: p99 with swaps, in terms of p99 without."""


@dataclass
class Phase:
    asked: bool
    """Whether there were to be swaps. The last one of a phase may count in the next."""
    swaps: int
    offered: int
    answered: int
    p50_ms: float
    p99_ms: float


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5, help="with swaps, all phases together")
    parser.add_argument("--swaps", type=float, default=30, help="a minute")
    parser.add_argument("--seconds", type=float, default=30, help="a phase")
    parser.add_argument("--component", default="coffee-rust")
    parser.add_argument("--executable", help="instead of building one for a release")
    options = parser.parse_args()
    executable = options.executable or build()["callgate"]
    with tempfile.TemporaryDirectory() as folder, a_broker(folder) as kafka:
        run = SwapRun(Path(folder), kafka, executable, options.component)
        progress(f"the host carries {run.capacity:,.0f} records/s; {OFFERED:.0%} of that is offered")
        phases = []
        for _ in range(max(1, round(options.minutes * 60 / options.seconds))):
            for swaps in (0, options.swaps):
                phases.append(run.phase(options.seconds, swaps))
                progress(shown(phases[-1]))
        failed = run.failures()
        sys.exit(report(phases, run, failed))


class SwapRun:
    def __init__(self, folder, kafka, executable, component):
        self.kafka = kafka
        self.value = coffee_order()
        self.component = (GUESTS / f"{component}.wasm").read_bytes()
        self.host = Host(folder, kafka, "swap", {})
        self.host.executable = executable
        self.host.configure(limits={"workers": max(1, os.cpu_count() - 1)})
        self.host.replies = self.host.topic("answers")
        kafka.create(self.host.replies, partitions=PARTITIONS)
        self.orders = self.host.handler("coffee", "POST /tables/{table}/orders", component, PARTITIONS,
                                        path={"table": "key"})
        self.deployed = folder / "handlers" / self.host.tenant / f"{component}.wasm"
        self.host.start(ready=False)
        self.capacity = self.load(self.measure_backlog()).carried()

    def measure_backlog(self):
        """Replies a second with records enough that lie ready, and nobody who sends or reads: more than can be carried."""
        for first in range(0, CAPACITY_RECORDS, AT_ONCE):
            self.kafka.send_all(self.orders, [{
                "value": self.value, "key": f"table-{number % 1000}".encode(), "partition": number % PARTITIONS,
                "headers": [("reply-to", self.host.replies.encode()), ("correlation-id", b"0")],
            } for number in range(first, first + AT_ONCE)])
        return rate(self.host.process, lambda: self.kafka.size(self.host.replies), CAPACITY_RECORDS)

    def load(self, rate):
        return Load(self.kafka.bootstrap, self.orders, PARTITIONS, self.host.replies, PARTITIONS, self.value, rate)

    def phase(self, seconds, swaps_a_minute):
        load = self.load(self.capacity * OFFERED)
        before, over = self.deployments(), threading.Event()
        if swaps_a_minute:
            threading.Thread(target=self.swap, args=(60 / swaps_a_minute, over), daemon=True).start()
        seen = load.run(WARM_UP, seconds)
        over.set()
        return Phase(bool(swaps_a_minute), self.deployments() - before, seen.offered, len(seen.late), seen.quantile(0.5), seen.quantile(0.99))

    def swap(self, every, over):
        while not over.wait(every):
            beside = self.deployed.with_name(".beside")
            beside.write_bytes(other_bytes(self.component))
            beside.rename(self.deployed)

    def deployments(self):
        lines = self.host.get("/metrics")[1].splitlines()
        return next((int(line.split()[-1]) for line in lines if 'deployments_total{outcome="deployed"}' in line), 0)

    def failures(self):
        """What every record came to, other than one reply of a success; and how many are without any."""
        self.sent = self.kafka.size(self.orders)
        self.host.until(lambda: self.kafka.size(self.host.replies) >= self.sent, "has not answered all", pause=1)
        statuses, read = Counter(), 0
        consumer = self.kafka.consumer()
        consumer.assign([TopicPartition(self.host.replies, partition, 0) for partition in range(PARTITIONS)])
        while read < self.sent:
            for message in consumer.consume(10_000, PATIENCE):
                if message.error() is None:
                    read += 1
                    statuses[dict(message.headers())["status-code"].decode()] += 1
        consumer.close()
        statuses.pop("201", None)
        letters = f"{self.orders}-dlt"
        if letters in self.kafka.topics() and (count := self.kafka.size(letters)):
            statuses["dead letters"] = count
        if (more := self.kafka.size(self.host.replies) - self.sent):
            statuses["replies too many"] = more
        assert self.host.stop() == 0
        return statuses


def report(phases, run, failed):
    calm, swapped = ([phase for phase in phases if phase.asked == with_swaps] for with_swaps in (False, True))
    print(f"{'':14}{'records':>12}{'p50 ms':>10}{'p99 ms':>10}")
    for name, of_it in (("without swaps", calm), ("with swaps", swapped)):
        print(f"{name:14}{sum(phase.answered for phase in of_it):12,}{median(of_it, 'p50_ms'):10.2f}{median(of_it, 'p99_ms'):10.2f}")
    for phase in phases:
        print(json.dumps(asdict(phase)))
    times = median(swapped, "p99_ms") / median(calm, "p99_ms")
    print(f"{sum(phase.swaps for phase in swapped)} swaps, {run.sent:,} records, failed or lost: {dict(failed) or 0}")
    print(f"p99 with swaps / without: {times:.2f} (expected: at most {LATER})")
    return 1 if failed else 0


def median(phases, figure):
    return statistics.median(getattr(phase, figure) for phase in phases) if phases else float("nan")


def shown(phase):
    return (f"{phase.swaps:3} swaps  {phase.answered:,} of {phase.offered:,} answered  "
            f"p50 {phase.p50_ms:.2f} ms  p99 {phase.p99_ms:.2f} ms")


def progress(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except (BrokerError, AssertionError) as error:
        sys.exit(f"swap_run.py: {error}")
