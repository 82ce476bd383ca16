"""What all parts of a run share: the broker, the programs, topics full of records, and how much is measured."""

import uuid
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from host import Host
from kafka.client import Client

from .orders import SIZE, coffee_order
from .programs import BENCHES, build, progress, stock_server

PARTITIONS = 6
KEYS = 1000
AT_ONCE = 5000


@dataclass(frozen=True)
class Scale:
    """How much is measured. Two of them: what figures are quoted from, and a look in some minutes."""
    name: str
    repeats: int
    records: int
    """Of a backlog, for a contender in native code. Slower ones have fewer."""
    seconds: float
    """Of a load at a steady rate, and of calls in a loop."""
    handlers: tuple[int, ...]
    tenants: tuple[int, ...]


FULL = Scale("full", repeats=3, records=100_000, seconds=8, handlers=(1, 10, 100, 300, 1000), tenants=(1, 10, 100))
QUICK = Scale("quick", repeats=1, records=20_000, seconds=2, handlers=(1, 10), tenants=(1, 10))
SMOKE = Scale("smoke", repeats=1, records=200, seconds=0.2, handlers=(1, 2), tenants=(1, 2))


@dataclass(frozen=True)
class Backlog:
    """A topic full of records, and the topic that each of them asks its reply to."""
    topic: str
    replies: str
    partitions: int
    records: int


class Workbench:
    def __init__(self, folder, kafka: Client, scale: Scale, executable=None):
        """`executable`: a host that was built already."""
        self.folder, self.kafka, self.scale, self.executable = Path(folder), kafka, scale, executable
        self.prefix = f"bench-{uuid.uuid4().hex[:8]}"

    @cached_property
    def programs(self):
        built = build(BENCHES)
        return {**built, "callgate": self.executable or built["callgate"]}

    @cached_property
    def callgate(self):
        return self.executable or self.programs["callgate"]

    @cached_property
    def wasmtime(self):
        return stock_server()

    def host(self, tenant=None, **sections):
        """A host with one tenant, who may read and answer all topics of this run."""
        home = self.folder / uuid.uuid4().hex[:8]
        home.mkdir()
        host = Host(home, self.kafka, "bench", {})
        host.executable = self.callgate
        allowed = {"topics": [f"{self.prefix}.*"], "reply_topics": [f"{self.prefix}.*"]}
        host.configure(tenant={**allowed, **(tenant or {})}, **sections)
        return host

    def name(self):
        return f"{self.prefix}.{uuid.uuid4().hex[:8]}"

    def topic(self, partitions, **config):
        name = self.name()
        self.kafka.create(name, partitions=partitions, **config)
        return name

    @cache
    def backlog(self, records, partitions=PARTITIONS, size=SIZE, keys=KEYS):
        """Orders of that size. One for all contenders that want the same."""
        progress(f"{records:,} orders of {size:,} bytes with {keys:,} keys into {partitions} partitions")
        value = coffee_order(size)
        headers = [("content-type", b"application/json")]
        return self.fill(partitions, ((f"table-{number % keys}", value, headers) for number in range(records)))

    def fill(self, partitions, records, **replies_config):
        """A backlog of these records: key, value, and headers without the return address."""
        backlog = Backlog(self.topic(partitions), self.topic(partitions, **replies_config), partitions, 0)
        batch, count = [], 0
        for key, value, headers in records:
            batch.append({"key": key.encode(), "value": value, "headers": [
                *headers, ("reply-to", backlog.replies.encode()),
                ("correlation-id", uuid.uuid4().hex.encode())]})
            count += 1
            if len(batch) == AT_ONCE:
                self.kafka.send_all(backlog.topic, batch)
                batch = []
        if batch:
            self.kafka.send_all(backlog.topic, batch)
        return Backlog(backlog.topic, backlog.replies, partitions, count)
