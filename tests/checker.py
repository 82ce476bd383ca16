"""States what must hold, from what the broker has: source records, replies, dead letters and committed offsets.

- **I1** each offset that a commit covers, below it or in its metadata, has its end
- **I2** a record has only the ends of the table of outcomes; one that comes once more is explained by a fault, before
  which no commit had covered it, and exactly-once by nothing
- **I3** by first occurrence, replies of a lane are in the order of their records, and so are its dead letters
- **I4** when all is quiet everything is committed, to the last record
- **I5** no commit covers what has not ended, and none takes back what an earlier one has said

It reads with another client than the host's, and sees only what is committed. I1 and I5 are looked at with every
sample of the commits, so `watching` takes many.
"""

import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

from committed import Committed
from confluent_kafka import KafkaException
from kafka.wire import NoAnswer
from meanwhile import meanwhile

REPLY, DEAD_LETTER = "reply", "dead letter"
HOPS = b"1"
EVERY = 0.1
"""Seconds between two samples."""


def now():
    """Milliseconds since the epoch, by the clock with which hosts stamp what they write."""
    return time.time() * 1000


@dataclass(eq=False)
class Fault:
    """Something that was done to a host or to a broker. Times are milliseconds since the epoch."""

    began: float
    healed: float = float("inf")


class Repetition(NamedTuple):
    """An end that a record had already."""

    number: int
    end: str
    fault: Fault | None
    """What explains it."""
    age: float
    """Milliseconds from the end that it repeats to that fault."""


class Suspect(NamedTuple):
    """A record that a commit covers and whose end was not to be seen: a transaction shows its offsets and what it has
    written one after the other."""

    number: int
    committed: Committed
    until: dict
    """For each topic and partition, the offset up to which it must have been read."""


class Checker:
    def __init__(self, ledger, ordering="partition"):
        self.ledger = ledger
        self.ordering = ordering
        self.exactly_once = ledger.host.delivery == "exactly-once"
        self.faults = []
        self.broken = []
        self._numbers = {}
        self._last = {}
        self._uncovered = set()
        # When a commit was first seen that covers a record: milliseconds since the epoch.
        self._covered = {}
        self._suspects = []
        self._is_watched = False

    def sent(self, first):
        """Records from that number on stand in their topic; some may have ended, and a commit may say so, by now."""
        for number, sent in enumerate(self.ledger.sent[first:], first):
            self._numbers.setdefault(sent.partition, {})[sent.offset] = number
            self._uncovered.add(number)
            if self._last.get(sent.partition, Committed(0)).covers(sent.offset):
                self._cover(number, self._last[sent.partition])

    # I1 and I5: the commits

    def sample(self):
        """Looks at the commits as they are now. What they cover must have been written before them."""
        kafka, host = self.ledger.host.kafka, self.ledger.host
        # Out of the lock: a coordinator that is away keeps nobody else waiting.
        commits = kafka.commits(host.group, self.ledger.topic)
        with self.ledger.lock:
            self.ledger.read()
            for partition, (offset, metadata) in commits.items():
                try:
                    self._look(partition, Committed.read(offset, metadata))
                except ValueError as error:
                    self._tell(f"partition {partition}: {error}")
            self._judge_suspects()
            return True

    def commits(self):
        """The commits as they were last seen."""
        with self.ledger.lock:
            return dict(self._last)

    def _try_sample(self):
        with suppress(KafkaException, NoAnswer):
            return self.sample()
        return False

    def _look(self, partition, committed):
        before = self._last.get(partition, Committed(0))
        numbers = self._numbers.get(partition, {})
        if committed == before:
            return
        taken_back = [offset for offset in (*before.ended, before.offset - 1)
                      if offset in numbers and not committed.covers(offset)]
        if taken_back:
            self._tell(f"partition {partition}: {committed} takes back that {taken_back[0]} has ended ({before})")
        self._last[partition] = committed
        for offset in (*range(before.offset, committed.offset), *(committed.ended - before.ended)):
            if offset in numbers:
                self._cover(numbers[offset], committed)

    def _cover(self, number, committed):
        self._covered.setdefault(number, now())
        self._uncovered.discard(number)
        if self.ledger.lacks(number):
            if self.exactly_once:
                self._suspects.append(Suspect(number, committed, {}))
            else:
                self._tell_lacking(number, committed)

    def _judge_suspects(self):
        """All that was written before a commit stands below the ends of the topics that were asked for after it."""
        self._suspects = [suspect for suspect in self._suspects if self.ledger.lacks(suspect.number)]
        if not self._suspects:
            return
        if any(not suspect.until for suspect in self._suspects):
            ends = self.ledger.ends_of_topics()
            self._suspects = [suspect if suspect.until else suspect._replace(until=ends) for suspect in self._suspects]
            self.ledger.read()
        waiting = []
        for suspect in self._suspects:
            lacks = self.ledger.lacks(suspect.number)
            if lacks and not self.ledger.has_read(suspect.until):
                waiting.append(suspect)
            elif lacks:
                self._tell_lacking(suspect.number, suspect.committed)
        self._suspects = waiting

    def _tell_lacking(self, number, committed):
        sent, lacks = self.ledger.sent[number], self.ledger.lacks(number)
        self._tell(f"partition {sent.partition}: {committed} covers offset {sent.offset}, and record {number} "
                   f"({sent.kind.name}) is without its {' and '.join(lacks)}")

    def _tell(self, what):
        if what not in self.broken:
            self.broken.append(what)

    @contextmanager
    def watching(self):
        """Samples all the time, as `meanwhile`. A broker that is away is not to be judged."""
        self._is_watched = True
        try:
            with meanwhile(self._try_sample, EVERY) as check:
                yield check
        finally:
            self._is_watched = False

    # I2: what comes twice

    def uncovered(self):
        """Records that no commit has covered."""
        with self.ledger.lock:
            return sorted(self._uncovered)

    def covers(self, count):
        """Whether commits cover the first `count` records."""
        with self.ledger.lock:
            return min(self._uncovered, default=count) >= count

    def fault(self):
        """A host or a broker is about to be killed, stopped or thrown out, or just was and nobody has gone on yet: what no
        commit has covered may come again."""
        if not self._is_watched:
            self._try_sample()
        self.faults.append(Fault(now()))

    def healed(self):
        """Nothing that comes from now on once more is the work of the faults until now."""
        for fault in self.faults:
            fault.healed = min(fault.healed, now())

    def repetitions(self):
        """Ends that came once more, each with the fault that explains it: the end before it was there before all was healed, it
        came itself after the fault began, and no commit covered the record by then. If one had covered it when the end came,
        it was in flight at the fault, which explains one such repetition.
        """
        times = Counter((written.number, written.end) for written in self.ledger.ends)
        stamps = {}
        for written in self.ledger.ends:
            if times[written.number, written.end] > 1:
                stamps.setdefault((written.number, written.end), []).append(written.timestamp)
        for (number, end), written in stamps.items():
            written.sort()
            unused = [] if self.exactly_once else list(self.faults)
            for first, second in zip(written, written[1:]):
                covered = self._covered.get(number, float("inf"))
                fault = next((fault for fault in unused
                              if first <= fault.healed and second >= fault.began and covered > fault.began), None)
                if fault and covered <= second:
                    unused.remove(fault)
                yield Repetition(number, end, fault, fault.began - first if fault else 0)

    def answered_first(self):
        """Answers that were written before their dead letter was: by the clock of the host that wrote both. In one
        transaction they may stand in any order.
        """
        if self.exactly_once:
            return []
        first = {}
        for written in self.ledger.ends:
            at = first.setdefault((written.number, written.end), written.timestamp)
            first[written.number, written.end] = min(at, written.timestamp)
        return [f"record {number} was answered {first[number, DEAD_LETTER] - at} ms before its dead letter"
                for (number, end), at in first.items()
                if end == REPLY and at < first.get((number, DEAD_LETTER), at)]

    def without_hops(self):
        return [f"the reply to record {written.number} has gone {written.hops} hops"
                for written in self.ledger.ends if written.end == REPLY and written.hops != HOPS]

    # I3: the order

    def out_of_order(self):
        found, latest, seen = [], {}, set()
        for written in self.ledger.ends:
            number, end = written.number, written.end
            lane = self._lane(self.ledger.sent[number])
            if lane is None or (number, end) in seen:
                continue
            seen.add((number, end))
            offset = self.ledger.sent[number].offset
            if latest.get((end, lane), -1) > offset:
                found.append(f"the {end} of offset {offset} came after that of {latest[end, lane]}, lane {lane}")
            latest[end, lane] = max(offset, latest.get((end, lane), -1))
        return found

    def _lane(self, sent):
        if self.ordering == "partition":
            return sent.partition, None
        if self.ordering == "key" and sent.key is not None:
            return sent.partition, sent.key
        return None

    # I4: quiet

    def is_quiet(self):
        """Whether everything is committed, to the last record."""
        return self._try_sample() and not self._suspects and all(
            self._last.get(partition, Committed(0)).offset == max(numbers) + 1
            for partition, numbers in self._numbers.items())
