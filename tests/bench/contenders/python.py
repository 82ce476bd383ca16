"""A handler of records as it is written in an afternoon: aiokafka, one record at a time."""

import sys
import uuid
from contextlib import contextmanager
from pathlib import Path

from . import Serving, running

PROGRAM = Path(__file__).with_name("one_at_a_time.py")


class OneAtATime:
    def __init__(self, bench):
        self.bench = bench

    @contextmanager
    def serving(self, topic, partitions):
        group = f"python-{uuid.uuid4().hex[:8]}"
        with running([sys.executable, PROGRAM, self.bench.kafka.bootstrap, group, topic]) as process:
            yield Serving([process], group)
