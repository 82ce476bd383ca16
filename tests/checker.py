"""States what must hold, from what the broker has: source records, replies, dead letters and committed offsets.

- **I1** each offset that a commit covers, below it or in its metadata, has its end
- **I2** a record has only the ends of the table of outcomes; one that a commit has covered has none of them again
- **I3** by first occurrence, replies of a lane are in the order of their records, and so are its dead letters
- **I4** when all is quiet everything is committed, to the last record
- **I5** no commit covers what has not ended, and none takes back what an earlier one has said

It reads with another client than the host's, and sees only what is committed. I1 and I5 are looked at with every
sample of the commits, so `watching` takes many.
"""

import threading
from collections import Counter
from contextlib import contextmanager, suppress

from committed import Committed
from confluent_kafka import KafkaException

REPLY, DEAD_LETTER = "reply", "dead letter"
HOPS = b"1"
EVERY = 0.1
"""Seconds between two samples."""


class Checker:
    def __init__(self, ledger, ordering="partition"):
        self.ledger = ledger
        self.ordering = ordering
        self.exactly_once = ledger.host.delivery == "exactly-once"
        self.faults = []
        """For each fault, how many ends were durable that no commit had covered: so many may come once more."""
        self.broken = []
        self._numbers = {}
        self._last = {}
        self._explained = Counter()

    def sent(self, first):
        """Records from that number on stand in their topic; some may have ended by now."""
        self.ledger.read()
        for number, sent in enumerate(self.ledger.sent[first:], first):
            self._numbers.setdefault(sent.partition, {})[sent.offset] = number
            if self._last.get(sent.partition, Committed(0)).covers(sent.offset):
                self._check(number, self._last[sent.partition])

    # I1 and I5: the commits

    def sample(self):
        """Looks at the commits as they are now. What they cover must have been written before them."""
        with self.ledger.lock:
            kafka, host = self.ledger.host.kafka, self.ledger.host
            commits = kafka.commits(host.group, self.ledger.topic)
            self.ledger.read()
            for partition, (offset, metadata) in commits.items():
                try:
                    self._look(partition, Committed.read(offset, metadata))
                except ValueError as error:
                    self._tell(f"partition {partition}: {error}")
            return True

    def _try_sample(self):
        with suppress(KafkaException):
            return self.sample()
        return False

    def _look(self, partition, now):
        before = self._last.get(partition, Committed(0))
        numbers = self._numbers.get(partition, {})
        if now == before:
            return
        taken_back = [offset for offset in (*before.ended, before.offset - 1)
                      if offset in numbers and not now.covers(offset)]
        if taken_back:
            self._tell(f"partition {partition}: {now} takes back that {taken_back[0]} has ended ({before})")
        self._last[partition] = now
        for offset in (*range(before.offset, now.offset), *(now.ended - before.ended)):
            if offset in numbers:
                self._check(numbers[offset], now)

    def _check(self, number, committed):
        if lacks := self.ledger.lacks(number):
            sent = self.ledger.sent[number]
            self._tell(f"partition {sent.partition}: {committed} covers offset {sent.offset}, and record {number} "
                       f"({sent.kind.name}) is without its {' and '.join(lacks)}")

    def _tell(self, what):
        if what not in self.broken:
            self.broken.append(what)

    @contextmanager
    def watching(self):
        """Samples all the time, on a thread of its own."""
        stop, failed = threading.Event(), []

        def watch():
            try:
                while not stop.wait(EVERY):
                    with suppress(KafkaException):  # a broker that is away is not to be judged
                        self.sample()
            except Exception as error:  # a thread's exception is nobody's: whoever waits for it raises it
                failed.append(error)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join()
        for error in failed:
            raise error

    # I2: what comes twice

    def uncovered(self):
        """Records that no commit has covered."""
        with self.ledger.lock:
            for partition, numbers in self._numbers.items():
                last = self._last.get(partition, Committed(0))
                for offset, number in reversed(numbers.items()):
                    if offset < last.offset:
                        break
                    if offset not in last.ended:
                        yield number

    def fault(self):
        """A host was killed, stopped or thrown out just now: what no commit has covered may come once more."""
        with self.ledger.lock:
            self.ledger.host.until(self._try_sample, "cannot be asked for its commits", alive=False)
            uncovered = set(self.uncovered())
            if not self.exactly_once:
                self._explained.update(uncovered)
            self.faults.append(sum(1 for written in self.ledger.ends if written.number in uncovered))

    def unexplained(self):
        """Ends that came more often than the faults explain."""
        times = Counter((written.number, written.end) for written in self.ledger.ends)
        return [f"record {number} has {count} times a {end}, and {self._explained[number]} faults explain that"
                for (number, end), count in times.items() if count - 1 > self._explained[number]]

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
        return self._try_sample() and all(self._last.get(partition, Committed(0)).offset == max(numbers) + 1
                   for partition, numbers in self._numbers.items())
