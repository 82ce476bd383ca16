#!/usr/bin/env python3
"""What one tenant does to another: B's latency and throughput while A misbehaves, beside B alone.

    make isolation ONLY=spin,trap SECONDS=8 REPEATS=3

ONLY takes these, and `outside`, `deploying`, `shares`, `deaths` and `memory` (see below); without it, all of them run.

B offers 40 % of what the host carries, at a steady rate. For each misbehaviour the host is started anew and B runs alone,
then beside A with 1, 16 and 64 calls in flight, in turn and several times over; A has as many partitions as calls, and
more records than it can end. `outside`: there is no A; a process beside the host burns a processor, as a spinning A does within it: what B loses then
it loses to the machine. `deploying`: A has no records, but deploys components that take long to compile, or are huge.
`shares`: both have more than the host carries, and each should get its share. `deaths`: how long after its deadline a
guest that spins is dead, and its dead letter written. `memory`: what the host holds over 100,000 calls that fail in all ways.

One processor is left to the broker and to this script: the host has a worker for each of the others. All share one
machine, so a round is compared with the run of B alone that is nearest to it, and with nothing else.

Progress goes to stderr; a table and one line of JSON a figure to stdout.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from bench.orders import coffee_order
from bench.programs import build
from host import GUESTS, Host, other_bytes, place
from kafka.broker import BrokerError
from kafka.client import PATIENCE
from kill_run import a_broker
from load import Load

PARTITIONS = 4
IN_FLIGHT = (1, 16, 64)
OFFERED = 0.4
WARM_UP = 2
CAPACITY_RECORDS = 60_000
FLOOD = 120_000
SLOW = 200
AT_ONCE = 5000

LATER, SLOWER, FEWER, UNEVEN = 1.3, 2.0, 0.9, 0.1
"""What is expected: p99 at most 1.3 times or 2 ms more, throughput at least 0.9 times, shares within 10 %."""

DEPLOYED_EVERY = 3
HUGE = 200 << 20
FAILING = {"trap": 60_000, "recurse": 20_000, "allocate": 10_000, "endless-body": 8_000, "huge-headers": 2_000}

FAILS = {"retry": {"attempts": 1}, "circuit_breaker": False, "deadline": "2s"}
"""The route of calls that fail on purpose: each counts, and no breaker spares the host the next one."""
A_LIMITS = {"max_memory": "16MiB", "max_cpu": "1s", "max_log": "64KiB"}

MISBEHAVIOURS = {
    # what A's handler does: its path at the guest `mischief`, and how many records one phase needs at most a partition
    "spin": ("POST /spin", SLOW),
    "sleep": ("POST /sleep", SLOW),
    "allocate": ("POST /allocate", FLOOD),
    "recurse": ("POST /recurse", FLOOD),
    "flood": ("POST /echo", FLOOD),
    "trap": ("POST /trap", FLOOD),
    "endless body": ("POST /endless-body", FLOOD),
    "endless log": ("POST /endless-log", SLOW),
    "10,000 headers": ("POST /echo", FLOOD // 40),
}

OTHERS = ["outside", "deploying", "shares", "deaths", "memory"]

DEADLINE = 1.0
DEATHS = 5
"""Of each lane."""


@dataclass
class Figure:
    misbehaviour: str
    in_flight: int
    p50_ms: float
    p99_ms: float
    throughput: float
    """Answered of what was offered."""
    alone_p50_ms: float
    alone_p99_ms: float
    alone_throughput: float
    host_mebibytes: float

    @property
    def holds(self):
        in_time = self.p99_ms <= max(LATER * self.alone_p99_ms, self.alone_p99_ms + SLOWER)
        return in_time and self.throughput >= FEWER * self.alone_throughput


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="some of: " + ", ".join([*MISBEHAVIOURS, *OTHERS]))
    parser.add_argument("--in-flight", default=",".join(map(str, IN_FLIGHT)))
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--executable", help="instead of building one for a release")
    options = parser.parse_args()
    executable = options.executable or build()["callgate"]
    wanted = [name.strip() for name in options.only.split(",") if name.strip()] or [*MISBEHAVIOURS, *OTHERS]
    with tempfile.TemporaryDirectory() as folder, a_broker(folder) as kafka:
        bench = Bench(Path(folder), kafka, executable, options)
        figures = [figure for name in wanted if name in MISBEHAVIOURS for figure in bench.beside(name)]
        if "outside" in wanted:
            figures.append(bench.beside_a_process("outside"))
        if "deploying" in wanted:
            figures += [bench.beside_deployments("slow compile"), bench.beside_deployments("huge component")]
        if figures:
            report(figures)
        if "shares" in wanted:
            bench.shares()
        if "deaths" in wanted:
            bench.deaths()
        if "memory" in wanted:
            bench.memory()


class Bench:
    """One broker, and a host that is started anew for each phase."""

    def __init__(self, folder, kafka, executable, options):
        self.folder, self.kafka, self.executable, self.options = folder, kafka, executable, options
        self.value = coffee_order()
        self.in_flight = [int(count) for count in options.in_flight.split(",")]

    @cached_property
    def capacity(self):
        """Records/s of B that the host carries."""
        measured = self.measure_capacity()
        progress(f"the host carries {measured:,.0f} records/s of B; B offers {OFFERED:.0%} of that")
        return measured

    def host(self, name):
        """A host with the tenant B, whose handler is the café's."""
        home = self.folder / name.replace(" ", "-").replace(",", "")
        home.mkdir()
        host = Host(home, self.kafka, "b", {})
        host.executable = self.executable
        host.replies = host.topic("answers")
        self.kafka.create(host.replies, partitions=PARTITIONS)
        host.orders = host.handler("coffee", "POST /tables/{table}/orders", "coffee-rust", PARTITIONS,
                                   path={"table": "key"})
        self.configure(host)
        return host

    def configure(self, host, **others):
        host.configure(limits={"workers": workers()}, tenants={host.tenant: {}, **others})

    def measure_capacity(self):
        host = self.host("capacity")
        self.fill(host.orders, PARTITIONS, CAPACITY_RECORDS, self.value, host.replies)
        host.start(ready=False)
        try:
            backlog = rate(host.process, lambda: self.kafka.size(host.replies), CAPACITY_RECORDS)
            return self.load(host, backlog).carried()
        finally:
            host.discard()

    def load(self, host, rate):
        return Load(self.kafka.bootstrap, host.orders, PARTITIONS, host.replies, PARTITIONS, self.value, rate)

    def beside(self, name):
        """B alone and beside A, in turn; the median of each."""
        operation, records = MISBEHAVIOURS[name]
        host = self.host(name)
        rounds = {count: [] for count in self.in_flight}
        for repeat in range(self.options.repeats):
            alone = self.phase(host)
            progress(f"{name:16} alone     {shown(alone)}")
            for count in self.in_flight:
                beside = self.phase(host, name, count, operation, records)
                progress(f"{name:16} beside {count:2} {shown(beside)}")
                rounds[count].append((beside, alone))
        for count, pairs in rounds.items():
            yield figure(name, count, pairs)

    def beside_a_process(self, name):
        """The same beside a process that is not the host's, and computes all the time."""
        host, pairs = self.host(name), []
        for repeat in range(self.options.repeats):
            alone = self.phase(host)
            progress(f"{name:16} alone     {shown(alone)}")
            burner = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
            try:
                beside = self.phase(host)
            finally:
                burner.kill()
                burner.wait()
            progress(f"{name:16} beside    {shown(beside)}")
            pairs.append((beside, alone))
        return figure(name, 0, pairs)

    def beside_deployments(self, name):
        """The same beside a tenant that deploys again and again, each time something new."""
        host, pairs = self.host(name), []
        neighbour = host.neighbour("a")
        self.kafka.create(neighbour.topic("new"))
        self.configure(host, **{neighbour.tenant: A_LIMITS})
        home = host.folder / "handlers" / neighbour.tenant
        for repeat in range(self.options.repeats):
            alone = self.phase(host)
            progress(f"{name:16} alone     {shown(alone)}")
            over = threading.Event()
            home.mkdir()
            deploying = threading.Thread(target=self.deploy, args=(home, name, over), daemon=True)
            deploying.start()
            beside = self.phase(host)
            over.set()
            deploying.join()
            shutil.rmtree(home)
            progress(f"{name:16} beside    {shown(beside)}")
            pairs.append((beside, alone))
        return figure(name, 0, pairs)

    def deploy(self, home, name, over):
        source = self.folder / "component.wasm"
        while not over.wait(DEPLOYED_EVERY):
            if name == "huge component":
                # A custom section, which nobody reads: two fields of a number each, then its name.
                component = (GUESTS / "coffee-rust.wasm").read_bytes()
                source.write_bytes(component + b"\0" + leb128(HUGE) + b"\4huge" + os.urandom(16) + bytes(HUGE - 21))
            else:
                source.write_bytes(other_bytes((GUESTS / "coffee-js.wasm").read_bytes()))
            place(source, home / "new.wasm")

    def phase(self, host, name=None, count=0, operation="", records=0):
        """One run of the host: p50, p99, share of what was offered that was answered, and the host's memory."""
        if name:
            neighbour = host.neighbour("a")
            home = host.folder / "handlers" / neighbour.tenant
            topic = neighbour.handler("mischief", operation, partitions=count, max_in_flight=64, **FAILS)
            headers = [(f"x-{number}", b"1") for number in range(10_000)] if "headers" in name else []
            self.fill(topic, count, min(records * count, FLOOD) if not headers else records, b"", None, headers)
            self.configure(host, **{neighbour.tenant: A_LIMITS})
        host.start()
        load = self.load(host, self.capacity * OFFERED)
        try:
            seen = load.run(WARM_UP, self.options.seconds)
            memory = resident_mebibytes(host.process.pid)
            assert host.process.poll() is None, f"the host ended:\n{host.log()[-3000:]}"
        finally:
            host.discard()
            if name:
                shutil.rmtree(home)
                self.configure(host)
        return seen.quantile(0.5), seen.quantile(0.99), seen.answered / seen.offered, memory

    def fill(self, topic, partitions, count, value, replies=None, headers=()):
        back = [("reply-to", replies.encode())] if replies else []
        for first in range(0, count, AT_ONCE):
            self.kafka.send_all(topic, [{
                "value": value, "key": f"table-{number % 1000}".encode(), "partition": number % partitions,
                "headers": [*back, ("correlation-id", b"0"), *headers],
            } for number in range(first, min(first + AT_ONCE, count))])

    def shares(self):
        """Both have more than the host carries: what each gets, of the replies of both."""
        for share, partitions in ((1, PARTITIONS), (1, 64), (3, PARTITIONS)):
            host = self.host(f"share-{share}-{partitions}")
            neighbour = host.neighbour("a")
            neighbour.replies = neighbour.topic("answers")
            self.kafka.create(neighbour.replies, partitions=PARTITIONS)
            orders = neighbour.handler("coffee", "POST /tables/{table}/orders", "coffee-rust", partitions,
                                       path={"table": "key"})
            self.configure(host, **{neighbour.tenant: {"share": share}})
            for topic, count, replies in ((host.orders, PARTITIONS, host.replies), (orders, partitions, neighbour.replies)):
                self.fill(topic, count, CAPACITY_RECORDS * share if topic == orders else CAPACITY_RECORDS, self.value, replies)
            host.start()
            try:
                gained = both(self.kafka, neighbour.replies, host.replies, CAPACITY_RECORDS)
            finally:
                host.discard()
            of_a, wanted = gained[0] / sum(gained), share / (share + 1)
            print(f"A with {partitions} partitions and a share of {share}: {of_a:.1%} of the replies "
                  f"(expected: {wanted:.1%}, within {UNEVEN:.0%} of it){'' if abs(of_a / wanted - 1) <= UNEVEN else '  NO'}")
            print(json.dumps({"share": share, "partitions": partitions, "of_a": of_a, "wanted": wanted}), flush=True)

    def deaths(self):
        """From one dead letter of a lane to the next: the deadline, and by how much the guest outlives it at most."""
        for spinners in (workers(), 64):
            host = self.host(f"deaths-{spinners}")
            topic = host.handler("spin", "POST /spin", "mischief", spinners, max_in_flight=64,
                                 **{**FAILS, "deadline": f"{DEADLINE:g}s"})
            self.fill(topic, spinners, spinners * DEATHS, b"")
            host.configure(limits={"workers": workers()}, tenants={host.tenant: {**A_LIMITS, "max_cpu": "10s"}})
            host.start()
            try:
                host.until(lambda: f"{topic}-dlt" in self.kafka.topics()
                           and self.kafka.size(f"{topic}-dlt") == spinners * DEATHS, "has not ended them", pause=0.5)
            finally:
                host.discard()
            died = {}
            for letter in self.kafka.log(f"{topic}-dlt").all():
                died.setdefault(letter.text("x-callgate-dlt-partition"), []).append(letter.timestamp)
            late = sorted(second - first - DEADLINE * 1000
                          for times in map(sorted, died.values()) for first, second in zip(times, times[1:]))
            print(f"{spinners} that spin on {workers()} worker(s) end {statistics.median(late):.0f} ms after their deadline, "
                  f"at most {late[-1]:.0f} ms, until the dead letter is written")
            print(json.dumps({"spinners": spinners, "workers": workers(), "late_ms": late}), flush=True)

    def memory(self):
        """What the host holds while calls fail in all ways, each time a tenth of them has."""
        host = self.host("memory")
        for name, count in FAILING.items():
            topic = host.handler(name, f"POST /{name}", "mischief", PARTITIONS, query={"count": "header:count"}, **FAILS)
            self.fill(topic, PARTITIONS, count, b"", headers=[("count", b"100000")])
        host.configure(tenants={host.tenant: A_LIMITS})
        host.start(ready=False)
        total, give_up, seen = sum(FAILING.values()), time.monotonic() + PATIENCE + sum(FAILING.values()) / 100, []
        try:
            while len(seen) < 10:
                letters = [f"{host.topic(name)}-dlt" for name in FAILING]
                ended = sum(self.kafka.size(topic) for topic in letters if topic in self.kafka.topics())
                if ended >= total * (len(seen) + 1) // 10:
                    seen.append(round(resident_mebibytes(host.process.pid)))
                    progress(f"{ended:7} failed calls: {seen[-1]} MiB")
                assert host.process.poll() is None, f"the host ended:\n{host.log()[-3000:]}"
                assert time.monotonic() < give_up, f"{ended} of {total} calls have failed"
                time.sleep(0.2)
        finally:
            host.discard()
        print(f"MiB of the host over {total:,} failed calls: {', '.join(map(str, seen))}")
        print(json.dumps({"failed_calls": total, "mebibytes": seen}), flush=True)


def workers():
    """One processor is left to the others."""
    return max(1, os.cpu_count() - 1)


def figure(name, count, pairs):
    beside, alone = (medians(phases) for phases in zip(*pairs))
    return Figure(name, count, *beside[:3], *alone[:3], max(phase[3] for phase, _ in pairs))


def leb128(number):
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


def both(kafka, one, other, records):
    """What each topic gains while both do: from the time at which each has had a tenth, until one has had nine."""
    give_up = time.monotonic() + PATIENCE + records / 500
    began = None
    while time.monotonic() < give_up:
        sizes = kafka.size(one), kafka.size(other)
        if began is None and min(sizes) >= records / 10:
            began = sizes
        if began and max(sizes) >= records * 0.9:
            return sizes[0] - began[0], sizes[1] - began[1]
        time.sleep(0.05)
    raise AssertionError(f"both together have answered {sizes} of {records} records each")


def rate(process, answered, records):
    """Records a second, the first tenth left out."""
    give_up = time.monotonic() + PATIENCE + records / 500
    began = None
    while time.monotonic() < give_up:
        now, there = time.monotonic(), answered()
        if began is None and there >= records / 10:
            began = now, there
        if there >= records:
            return (there - began[1]) / (now - began[0])
        assert process.poll() is None, f"the host ended with status {process.returncode}"
        time.sleep(0.05)
    raise AssertionError(f"the host has answered {there} of {records} records")


def resident_mebibytes(pid):
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1024


def medians(phases):
    return [statistics.median(values) for values in zip(*phases)]


def shown(phase):
    return f"p50 {phase[0]:7.2f} ms  p99 {phase[1]:8.2f} ms  answered {phase[2]:6.1%}  {phase[3]:5.0f} MiB"


def report(figures):
    print(f"{'A':16}{'in flight':>10}{'p99 ms':>10}{'alone':>8}{'times':>7}{'throughput':>12}{'alone':>8}{'MiB':>7}")
    for figure in figures:
        print(f"{figure.misbehaviour:16}{figure.in_flight:10}{figure.p99_ms:10.2f}{figure.alone_p99_ms:8.2f}"
              f"{figure.p99_ms / figure.alone_p99_ms:7.2f}{figure.throughput:12.1%}{figure.alone_throughput:8.1%}"
              f"{figure.host_mebibytes:7.0f}{'' if figure.holds else '  NO'}")
    for figure in figures:
        print(json.dumps(asdict(figure)), flush=True)


def progress(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except (BrokerError, AssertionError) as error:
        sys.exit(f"isolation.py: {error}")
