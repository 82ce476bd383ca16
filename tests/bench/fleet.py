"""Many handlers of some tenants in one host, each with a component and a topic of its own."""

from functools import cached_property

from host import GUESTS, other_bytes

from .contenders import Serving
from .poured import pour

LONGEST = 3600
"""Seconds that a host may take until all of them are loaded."""

TOPICS_AT_ONCE = 100


class Fleet:
    def __init__(self, bench, handlers, tenants):
        self.bench, self.handlers, self.tenants = bench, handlers, tenants
        self.topics = []

    @cached_property
    def host(self):
        host = self.bench.host()
        component = (GUESTS / "coffee-rust.wasm").read_bytes()
        tenants = [f"{host.tenant}-{number}" for number in range(self.tenants)]
        for number in range(self.handlers):
            tenant = tenants[number % self.tenants]
            home = host.folder / "handlers" / tenant
            home.mkdir(parents=True, exist_ok=True)
            (home / f"coffee-{number}.wasm").write_bytes(other_bytes(component))
            self.topics.append(f"{tenant}.coffee-{number}")
        for first in range(0, self.handlers, TOPICS_AT_ONCE):
            self.bench.kafka.create(*self.topics[first:first + TOPICS_AT_ONCE])
        host.configure(
            deploy={"directory": "handlers", "cache": str(host.folder / "cache")},
            limits={"max_client_sets": self.tenants},
            tenants={tenant: {"reply_topics": [host.replies], "max_buffered_bytes": "1MiB",
                              "create_dead_letter_topic": False} for tenant in tenants})
        # Ahead of the first run, so that the runs differ in nothing.
        host.compile()
        return host

    def once(self):
        """A row of a part: all of them ready, then each is sent its share of the records."""
        host = self.host
        host.start(ready=False)
        try:
            host.until(host.is_ready, "is not ready", patience=LONGEST)
            count = max(self.bench.scale.records // 2, self.handlers)
            figures = pour(self.bench.kafka, self.topics, host.replies, count, Serving([host.process], host.group))
            host.stop()
            return figures
        finally:
            host.discard()
