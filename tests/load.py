"""Requests at a steady rate, whatever becomes of them, and how long each waits for its reply.

The rate does not give way to a slow host, and a reply is late from the moment at which its request was due, so that no
wait is left out. Sender and reader are processes of their own; their clock is the machine's.
"""

import multiprocessing
import time
from dataclasses import dataclass, replace

from confluent_kafka import Consumer, Producer, TopicPartition

PATIENCE = 60
"""Seconds after the last request in which its reply is awaited."""

PILED_UP = 100
"""Milliseconds that one request of a hundred waits at least, where more come than are carried."""
DOWN = 0.9

LINGER = 2
"""Milliseconds. Without it the broker has a request for each record, and the sender's half of the machine is all of it."""

PAUSE = 0.0005
LEAD = 1.0
NANOSECONDS = 1_000_000_000


@dataclass
class Observed:
    offered: int
    """Requests that were due in the time that counts."""
    answered: int
    """Replies that came in the time that counts, to whichever request."""
    late: list[float]
    """Milliseconds from due to answered, of each request that counts and was answered at all, in order of size."""

    def quantile(self, share):
        return self.late[min(int(len(self.late) * share), len(self.late) - 1)] if self.late else float("inf")


@dataclass
class Load:
    bootstrap: str
    topic: str
    partitions: int
    replies: str
    reply_partitions: int
    value: bytes
    rate: float
    linger: float = LINGER

    def due(self, number):
        """Nanoseconds from the first request to that one."""
        return int(number * NANOSECONDS / self.rate)

    def run(self, warm_up, seconds) -> Observed:
        """Sends for both times; the second one counts."""
        context = multiprocessing.get_context("spawn")
        ready, results = context.Event(), context.Queue()
        begin = context.Value("q", 0)
        reader = context.Process(target=read, args=(self, ready, begin, warm_up, seconds, results), daemon=True)
        reader.start()
        assert ready.wait(PATIENCE), "the reader of replies does not start"
        sender = context.Process(target=send, args=(self, begin, warm_up + seconds), daemon=True)
        sender.start()
        observed = results.get(timeout=warm_up + seconds + 2 * PATIENCE)
        sender.join(PATIENCE)
        reader.join(PATIENCE)
        return observed

    def carried(self, warm_up=2, seconds=5):
        """The highest rate, from this one down, at which nothing piles up, with sender and reader on the same machine."""
        load = self
        while load.run(warm_up, seconds).quantile(0.99) > PILED_UP:
            load = replace(load, rate=load.rate * DOWN)
        return load.rate


def send(load, begin, seconds):
    producer = Producer({"bootstrap.servers": load.bootstrap, "linger.ms": load.linger, "log_level": 0})
    producer.list_topics(load.topic, timeout=PATIENCE)
    start = time.monotonic_ns() + int(LEAD * NANOSECONDS)
    begin.value = start
    total, sent = int(load.rate * seconds), 0
    while sent < total:
        due = min(int((time.monotonic_ns() - start) * load.rate / NANOSECONDS), total)
        for number in range(sent, due):
            moment = start + load.due(number)
            producer.produce(load.topic, load.value, f"table-{number % 1000}".encode(), number % load.partitions,
                             headers=[("reply-to", load.replies.encode()), ("correlation-id", str(moment).encode())])
        sent = max(sent, due)
        producer.poll(0)
        time.sleep(PAUSE)
    producer.flush(PATIENCE)


def read(load, ready, begin, warm_up, seconds, results):
    consumer = Consumer({"bootstrap.servers": load.bootstrap, "group.id": "load", "enable.auto.commit": False,
                         "log_level": 0})
    ends = [consumer.get_watermark_offsets(TopicPartition(load.replies, partition), PATIENCE)[1]
            for partition in range(load.reply_partitions)]
    consumer.assign([TopicPartition(load.replies, partition, end) for partition, end in enumerate(ends)])
    ready.set()
    until = warm_up + seconds
    offered = sum(warm_up * NANOSECONDS <= load.due(number) < until * NANOSECONDS
                  for number in range(int(load.rate * until)))
    late, answered = [], 0
    while True:
        first = consumer.poll(0.1)
        now = time.monotonic_ns()
        if begin.value == 0:
            continue
        counts_from = begin.value + int(warm_up * NANOSECONDS)
        counts_to = counts_from + int(seconds * NANOSECONDS)
        for message in [] if first is None else [first, *consumer.consume(1000, 0)]:
            if message.error() is not None:
                continue
            answered += counts_from <= now < counts_to
            due = next((int(value) for name, value in message.headers() if name == "correlation-id"), 0)
            if counts_from <= due < counts_to:
                late.append((now - due) / 1e6)
        if len(late) >= offered or now > counts_to + PATIENCE * NANOSECONDS:
            break
    consumer.close()
    results.put(Observed(offered, answered, sorted(late)))
