"""What the client of Kafka costs by itself: a topic in, the same values out, in Rust and with nothing in between."""

import uuid
from contextlib import contextmanager

from . import Serving, running


class NativeEcho:
    def __init__(self, bench, transactions=False):
        self.bench, self.transactions = bench, transactions

    @contextmanager
    def serving(self, topic, partitions):
        program = self.bench.programs["native_echo_transactions" if self.transactions else "native_echo"]
        group = f"echo-{uuid.uuid4().hex[:8]}"
        with running([program, self.bench.kafka.bootstrap, group, topic]) as process:
            yield Serving([process], group, exactly_once=self.transactions)
