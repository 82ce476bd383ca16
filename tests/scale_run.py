#!/usr/bin/env python3
"""Many handlers of many tenants in one host: how long it takes to start, and what it holds.

    make scale HANDLERS=1000 TENANTS=100

Each handler has a component with bytes of its own, so each is compiled, and a topic of its own. The host starts with an
empty cache, then once more with a full one; each time until it is ready, and then until every handler has answered a
record. Progress goes to stderr; a table and one line of JSON a row to stdout.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.programs import build
from host import GUESTS, Host, other_bytes
from kafka.broker import BrokerError
from kill_run import a_broker

PATIENCE = 3600
AT_ONCE = 100


@dataclass
class Row:
    moment: str
    seconds: float
    """Since the process began, or since the records were sent."""
    resident_mebibytes: float
    threads: int
    files: int
    mappings: int


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--handlers", type=int, default=1000)
    parser.add_argument("--tenants", type=int, default=100)
    parser.add_argument("--executable", help="instead of building one for a release")
    options = parser.parse_args()
    executable = options.executable or build()["callgate"]
    with tempfile.TemporaryDirectory() as folder, a_broker(folder) as kafka:
        rows = list(Scale(Path(folder), kafka, executable, options).run())
    report(options, rows)


class Scale:
    def __init__(self, folder, kafka, executable, options):
        self.folder, self.kafka = folder, kafka
        self.host = Host(folder, kafka, "scale", {})
        self.host.executable = executable
        self.tenants = [f"{self.host.tenant}-{number}" for number in range(options.tenants)]
        self.topics = []
        self.deploy(options.handlers)
        self.host.configure(deploy={"directory": "handlers", "cache": str(folder / "cache")},
                            limits={"max_client_sets": options.tenants},
                            tenants={tenant: {"reply_topics": [self.host.replies], "max_buffered_bytes": "1MiB",
                                              "create_dead_letter_topic": False} for tenant in self.tenants})

    def deploy(self, handlers):
        component = (GUESTS / "coffee-rust.wasm").read_bytes()
        for number in range(handlers):
            tenant = self.tenants[number % len(self.tenants)]
            home = self.folder / "handlers" / tenant
            home.mkdir(parents=True, exist_ok=True)
            (home / f"coffee-{number}.wasm").write_bytes(other_bytes(component))
            self.topics.append(f"{tenant}.coffee-{number}")
        for first in range(0, handlers, AT_ONCE):
            self.kafka.create(*self.topics[first:first + AT_ONCE])
            progress(f"{min(first + AT_ONCE, handlers)} of {handlers} topics made")

    def run(self):
        for cache in ("cold", "from cache"):
            began = time.monotonic()
            self.host.start(ready=False)
            self.wait(self.host.is_ready, began, "ready")
            yield self.row(f"{cache}: ready", began)
            before, began = self.kafka.size(self.host.replies), time.monotonic()
            for topic in self.topics:
                self.kafka.producer.produce(topic, b"{}", headers=[("reply-to", self.host.replies.encode())])
                self.kafka.producer.poll(0)
            self.kafka.producer.flush(PATIENCE)
            self.wait(lambda: self.kafka.size(self.host.replies) - before >= len(self.topics), began, "all answered")
            yield self.row(f"{cache}: each called once", began)
            assert self.host.stop() == 0

    def wait(self, condition, began, what):
        told = began
        while not condition():
            assert self.host.process.poll() is None, f"the host ended:\n{self.host.log()[-3000:]}"
            assert time.monotonic() - began < PATIENCE, f"the host is not {what}"
            if time.monotonic() - told > 10:
                told = time.monotonic()
                progress(f"{told - began:.0f} s, {self.host.log().count('a version is loaded')} versions loaded, not yet {what}")
            time.sleep(0.2)

    def row(self, moment, began):
        proc = Path(f"/proc/{self.host.process.pid}")
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        row = Row(moment, time.monotonic() - began, int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"]),
                  len(os.listdir(proc / "fd")), len((proc / "maps").read_text().splitlines()))
        progress(f"{row.moment}: {row.seconds:.1f} s, {row.resident_mebibytes:.0f} MiB")
        return row


def report(options, rows):
    print(f"{options.handlers} handlers of {options.tenants} tenants"
          f"{'seconds':>12}{'MiB':>8}{'threads':>9}{'files':>8}{'mappings':>10}")
    for row in rows:
        print(f"{row.moment:32}{row.seconds:12.1f}{row.resident_mebibytes:8.0f}{row.threads:9}{row.files:8}{row.mappings:10}")
    for row in rows:
        print(json.dumps(asdict(row)))


def progress(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except (BrokerError, AssertionError) as error:
        sys.exit(f"scale_run.py: {error}")
