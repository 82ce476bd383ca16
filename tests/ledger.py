"""Books of many records: how each was to end, and how it ended. The `checker` judges them."""

import random
import threading
from dataclasses import dataclass, field
from typing import NamedTuple

from checker import Checker, Repetition

REPLY, DEAD_LETTER = "reply", "dead letter"


class Kind(NamedTuple):
    """A sort of record: what it makes the guest do, whether anybody asks, and what must come of it."""

    name: str
    share: int
    call: str
    attempt: int | None
    """The first call that succeeds, for `/fail-until`."""
    asks: bool
    replies: bool
    dies: bool
    ms: int | None = None
    """How long the guest takes, for `/sleep` and `/spin`; without it, for ever."""

    def ends(self):
        return {end for end, expected in ((REPLY, self.replies), (DEAD_LETTER, self.dies)) if expected}


ATTEMPTS = 2
NEVER = 1000

KINDS = (
    Kind("answered", 14, "fail-until", None, asks=True, replies=True, dies=False),
    Kind("recovering", 2, "fail-until", ATTEMPTS, asks=True, replies=True, dies=False),
    Kind("refused", 2, "no-such-path", None, asks=True, replies=True, dies=False),
    Kind("failed", 1, "fail-until", NEVER, asks=True, replies=True, dies=True),
    Kind("trapped", 1, "trap", None, asks=True, replies=True, dies=True),
    Kind("unheard", 1, "no-such-path", None, asks=False, replies=False, dies=True),
    Kind("silent", 1, "fail-until", None, asks=False, replies=False, dies=False),
)

ROUTE = {"operation": "POST /{call}", "path": {"call": "header:call"},
         "query": {"attempt": "header:attempt", "ms": "header:ms"},
         "retry": {"attempts": ATTEMPTS, "backoff": "10ms", "max_backoff": "20ms"}, "circuit_breaker": False}
"""What a handler of these records needs in its route. Many of them fail on purpose, and no breaker is to be tripped."""


class Sent(NamedTuple):
    kind: Kind
    key: bytes | None
    partition: int
    offset: int


class Written(NamedTuple):
    """An end, as it stands in the topic of replies or of dead letters."""

    number: int
    """Which record has ended so."""
    end: str
    partition: int
    offset: int
    timestamp: int
    hops: bytes | None

    @classmethod
    def reader(cls, end):
        def read(message):
            headers = dict(message.headers() or ())
            return cls(int(headers["correlation-id"]), end,
                       message.partition(), message.offset(), message.timestamp()[1], headers.get("x-callgate-hops"))
        return read


@dataclass
class Summary:
    sent: int
    lost: list[int] = field(default_factory=list)
    """Records without the end that they were to have."""
    strange: list[str] = field(default_factory=list)
    """Ends that no record was to have."""
    repeated: list[Repetition] = field(default_factory=list)
    """Ends that came once more."""
    beyond: list[str] = field(default_factory=list)
    """Those of them that no fault explains."""
    disorder: list[str] = field(default_factory=list)
    """What came out before what it was to wait for."""
    broken: list[str] = field(default_factory=list)
    """Commits that said what was not so."""

    def findings(self):
        """Everything that must not be."""
        if self.lost:
            yield f"I1: {len(self.lost)} of {self.sent} records are lost: {self.lost[:10]}"
        for name, found in (("I1, I5", self.broken), ("I2", self.strange), ("I2", self.beyond), ("I3", self.disorder)):
            if found:
                yield f"{name}: {len(found)} times, first: {found[0]}"


class Ledger:
    def __init__(self, host, handler, seed=0, ordering="partition"):
        self.host = host
        self.topic = host.topic(handler)
        if f"{self.topic}-dlt" not in host.kafka.topics():
            host.kafka.create(f"{self.topic}-dlt", partitions=len(host.kafka.partitions(self.topic)))
        self.sent = []
        self.ends = []
        self.checker = Checker(self, ordering)
        self._logs = {REPLY: host.replies, DEAD_LETTER: f"{self.topic}-dlt"}
        self._missing = {}
        self._chance = random.Random(seed)
        # Whoever samples commits reads as well, on a thread of its own.
        self.lock = threading.RLock()

    def send(self, count, kinds=KINDS):
        first = len(self.sent)
        drawn = self._chance.choices(kinds, weights=[kind.share for kind in kinds], k=count)
        keys = [None if self._chance.random() < 0.05 else b"%d" % self._chance.randrange(97) for _ in drawn]
        records = [self._record(number, kind, key)
                   for number, (kind, key) in enumerate(zip(drawn, keys), first)]
        with self.lock:
            self._missing.update((number, kind.ends()) for number, kind in enumerate(drawn, first) if kind.ends())
        written = self.host.kafka.send_all(self.topic, records)
        with self.lock:
            self.sent.extend(Sent(kind, key, record.partition, record.offset)
                             for kind, key, record in zip(drawn, keys, written))
            self.checker.sent(first)

    def _record(self, number, kind, key):
        address = [("reply-to", self.host.replies.encode())] if kind.asks else []
        attempt = [("attempt", b"%d" % kind.attempt)] if kind.attempt else []
        ms = [("ms", b"%d" % kind.ms)] if kind.ms else []
        return {"key": key, "value": b"x" * self._chance.randrange(100),
                "headers": [*address, ("correlation-id", b"%d" % number), ("call", kind.call.encode()), *attempt, *ms]}

    def read(self):
        """Takes in what has been written since; returns how many records have the ends that they were to have."""
        with self.lock:
            for end in self._logs:
                for written in self._log(end).new():
                    self.ends.append(written)
                    missing = self._missing.get(written.number, set())
                    missing.discard(end)
                    if not missing:
                        self._missing.pop(written.number, None)
            return len(self.sent) - len(self._missing)

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

    def await_commits(self, host=None):
        """Waits until a commit says of each record that has ended that it has."""
        (host or self.host).until(lambda: self.checker.sample() and not self.uncovered(),
                                  "has not committed all that it ended")

    def progress(self):
        """What changes as long as the host goes on: how many records have ended, and what commits say."""
        return self.read(), self.checker.commits()

    def lacking(self):
        """How many records are without the ends that they were to have."""
        return len(self._missing)

    def ends_of_topics(self):
        """How far the topics of replies and dead letters go now, with what may still be aborted."""
        kafka = self.host.kafka
        return {topic: kafka.ends(topic) for topic in self._logs.values()}

    def has_read(self, ends):
        """Whether what stood below these ends has been read, or was aborted."""
        return all(self._log(end).has_read(ends[topic]) for end, topic in self._logs.items())

    def _log(self, end):
        return self.host.kafka.log(self._logs[end], Written.reader(end))

    def lacks(self, number):
        """The ends that a record was to have and does not."""
        return self._missing.get(number, set())

    def uncovered(self):
        """Records that have ended, and no commit has said so yet."""
        return [number for number in self.checker.uncovered() if number not in self._missing]

    def kill(self, after):
        """kill -9 once so many replies are there, and one more than now, unless all are there: so that it meets a host at
        work.
        """
        size, replies = self.host.kafka.size, self.host.replies
        self.await_replies(after)
        before = size(replies)
        self.host.until(lambda: size(replies) > before or self.read() == len(self.sent), "does not go on", pause=0.002)
        self.host.kill()
        self.checker.fault()

    def summary(self):
        self.checker.sample()
        summary = Summary(len(self.sent), lost=sorted(self._missing), broken=self.checker.broken)
        for number, end in {(written.number, written.end) for written in self.ends}:
            if end not in self.sent[number].kind.ends():
                summary.strange.append(f"a {end} of record {number} ({self.sent[number].kind.name})")
        summary.strange += self.checker.answered_first() + self.checker.without_hops()
        summary.repeated = list(self.checker.repetitions())
        summary.beyond = [f"record {number} ({self.sent[number].kind.name}) has a {end} once more, and no fault explains that"
                          for number, end, fault, _ in summary.repeated if fault is None]
        summary.disorder = self.checker.out_of_order()
        return summary

    def assert_whole(self):
        summary = self.summary()
        findings = list(summary.findings())
        assert not findings, "\n".join(findings)
        return summary
