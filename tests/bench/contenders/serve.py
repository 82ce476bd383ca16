"""The stock server of wasmtime: the same component behind plain HTTP, and a bridge from Kafka before it."""

import json
import socket
import subprocess
import time
import uuid
from contextlib import contextmanager

from bench.processes import cpu_seconds, peak_mebibytes
from host import GUESTS
from kafka.broker import free_ports
from kafka.client import PATIENCE

from . import Serving, running

CONNECTIONS = 64
PATH = "/tables/table-17/orders"


class StockServer:
    """`wasmtime serve`, with a pool of instances as a server has it, each for so many requests."""

    def __init__(self, bench, reuse=1, component="coffee-rust"):
        self.bench, self.reuse, self.component = bench, reuse, component

    @contextmanager
    def listening(self):
        address = f"127.0.0.1:{free_ports(1)[0]}"
        with running([self.bench.wasmtime, "serve", "-Scli", "-Opooling-allocator=y", "--addr", address,
                      "--max-instance-reuse-count", self.reuse, GUESTS / f"{self.component}.wasm"]) as process:
            await_listener(address, process)
            yield address, process

    def load(self, address, seconds, rate=None):
        """What the load generator saw: responses a second, and how late each was."""
        command = [self.bench.programs["http_load"], address, PATH, "--connections", CONNECTIONS, "--seconds", seconds,
                   *(["--rate", rate] if rate else [])]
        return json.loads(subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, check=True).stdout)


def served(bench, server, rate=None):
    """The server alone under the load generator, which is not counted."""
    seconds = bench.scale.seconds
    with server.listening() as (address, process):
        server.load(address, seconds / 4, rate)
        before = cpu_seconds(process.pid)
        told = server.load(address, seconds, rate)
        cpu = (cpu_seconds(process.pid) - before) / told.pop("requests") * 1e6
        return {**told, "cpu_microseconds": cpu, "peak_mebibytes": peak_mebibytes(process.pid)}


class Bridge:
    """Each record an HTTP request to the stock server, each response a record, many at once."""

    def __init__(self, bench, reuse=1):
        self.bench, self.server = bench, StockServer(bench, reuse)

    @contextmanager
    def serving(self, topic, partitions):
        group = f"bridge-{uuid.uuid4().hex[:8]}"
        with (
            self.server.listening() as (address, server),
            running([self.bench.programs["bridge"], self.bench.kafka.bootstrap, group, topic, address,
                     CONNECTIONS]) as bridge,
        ):
            yield Serving([bridge, server], group)


def await_listener(address, process):
    host, _, port = address.rpartition(":")
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection((host, int(port))).close()
            return
        except OSError:
            assert process.poll() is None, f"{process.args[0]} ended with status {process.returncode}"
            assert time.monotonic() < give_up, f"{process.args[0]} does not listen"
            time.sleep(0.05)
