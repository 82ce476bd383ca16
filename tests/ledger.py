"""Books of many records: how each was to end, how it ended, and what came twice."""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


REPLY, DEAD_LETTER = "reply", "dead letter"


class Kind(NamedTuple):
    """A sort of record: what the handler answers, whether anybody asks, and what must come of it."""

    name: str
    share: int
    status: bytes
    asks: bool
    replies: bool
    dies: bool

    def ends(self):
        return {end for end, expected in ((REPLY, self.replies), (DEAD_LETTER, self.dies)) if expected}


KINDS = (
    Kind("answered", 16, b"200", asks=True, replies=True, dies=False),
    Kind("refused", 2, b"404", asks=True, replies=True, dies=False),
    Kind("failed", 1, b"503", asks=True, replies=True, dies=True),
    Kind("unheard", 1, b"404", asks=False, replies=False, dies=True),
)

ROUTE = {"operation": "POST /status/{code}", "path": {"code": "header:code"},
         "retry": {"attempts": 2, "backoff": "10ms", "max_backoff": "20ms"}}
"""What a handler of these records needs in its route."""


@dataclass
class Fault:
    """What was durable when the host was killed."""

    committed: dict[int, int]
    ends: int
    """How many ends had been read by then; what is read later was written later."""


@dataclass
class Summary:
    sent: int
    lost: list[int] = field(default_factory=list)
    """Records without the end that they were to have."""
    strange: list[str] = field(default_factory=list)
    """Ends that no record was to have."""
    repeated: int = 0
    """Ends that came once more; after a kill at most what was in flight, or had ended since the last commit."""
    beyond: list[str] = field(default_factory=list)
    """Repetitions of what a commit before the kill had covered: a broken promise."""


class Ledger:
    def __init__(self, host, handler, seed=0):
        self.host = host
        self.topic = host.topic(handler)
        host.kafka.create(f"{self.topic}-dlt", partitions=len(host.kafka.partitions(self.topic)))
        self.kinds = {}
        self.coordinates = {}
        self.ends = []
        self.faults = []
        self._missing = {}
        self._chance = random.Random(seed)
        self._read = {REPLY: 0, DEAD_LETTER: 0}

    def send(self, count):
        first = len(self.kinds)
        drawn = self._chance.choices(KINDS, weights=[kind.share for kind in KINDS], k=count)
        self.kinds.update(enumerate(drawn, first))
        self._missing.update((number, kind.ends()) for number, kind in enumerate(drawn, first))
        records = [self._record(number) for number in range(first, first + count)]
        for number, record in enumerate(self.host.kafka.send_all(self.topic, records), first):
            self.coordinates[number] = (record.partition, record.offset)

    def _record(self, number):
        kind = self.kinds[number]
        address = [("reply-to", self.host.replies.encode())] if kind.asks else []
        return {"key": str(number % 997).encode(), "value": b"x" * self._chance.randrange(100),
                "headers": [*address, ("correlation-id", str(number).encode()), ("code", kind.status)]}

    def read(self):
        """Takes in what has been written since; returns how many records have the ends that they were to have."""
        for end, topic in ((REPLY, self.host.replies), (DEAD_LETTER, f"{self.topic}-dlt")):
            records = self.host.kafka.log(topic).all()
            for record in records[self._read[end]:]:
                number = int(record.header("correlation-id"))
                self.ends.append((number, end))
                missing = self._missing.get(number, set())
                missing.discard(end)
                if not missing:
                    self._missing.pop(number, None)
            self._read[end] = len(records)
        return len(self.kinds) - len(self._missing)

    def await_replies(self, count):
        """Waits until so many have been written, which shows much sooner than they could be read."""
        size, replies = self.host.kafka.size, self.host.replies
        self.host.until(lambda: size(replies) >= count, f"has not written {count} replies", pause=0.002)

    def await_ends(self, count, host=None):
        """Waits as long as it goes on."""
        before = -1
        while before < count:
            (host or self.host).until(lambda: self.read() > before, f"ended {before} records of {count} and no more")
            before = self.read()

    def kill(self, after):
        """kill -9 once so many replies are there, and one more than now: so that it meets a host at work."""
        self.await_replies(max(after, self.host.kafka.size(self.host.replies) + 1))
        self.host.kill()
        committed = self.host.kafka.committed(self.host.group, self.topic)
        self.read()  # after that, so that it holds all ends below, though another host goes on
        self.faults.append(Fault(committed, len(self.ends)))

    def uncommitted_at_faults(self):
        """For each kill, how many ends were durable but not covered by a commit: so many may come once more."""
        for fault in self.faults:
            coordinates = (self.coordinates[number] for number, _ in self.ends[:fault.ends])
            yield sum(1 for partition, offset in coordinates if offset >= fault.committed[partition])

    def summary(self):
        self.read()
        summary = Summary(len(self.kinds), lost=sorted(self._missing))
        for (number, end), times in Counter(self.ends).items():
            if end not in self.kinds[number].ends():
                summary.strange.append(f"{end} of record {number} ({self.kinds[number].name})")
            summary.repeated += times - 1
        for fault in self.faults:
            for number, end in self.ends[fault.ends:]:
                partition, offset = self.coordinates[number]
                if offset < fault.committed[partition]:
                    summary.beyond.append(f"{end} of record {number}, partition {partition}, offset {offset}")
        return summary

    def assert_whole(self):
        summary = self.summary()
        assert not summary.lost, f"{len(summary.lost)} of {summary.sent} records are lost: {summary.lost[:10]}"
        assert not summary.strange, f"{len(summary.strange)} ends that should not be: {summary.strange[:10]}"
        assert not summary.beyond, f"{len(summary.beyond)} repeated below the committed offset: {summary.beyond[:10]}"
        return summary
