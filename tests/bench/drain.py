"""Throughput: a contender is given a backlog, and watched until all of it is answered."""

import time
from dataclasses import asdict, dataclass

from confluent_kafka import TopicPartition

from kafka.client import PATIENCE, Record

from .figures import QUANTITIES

WARM_UP = 0.1
"""Of the backlog, what is answered before the figures begin."""

LOOK_EVERY = 0.05
SLOWEST = 100
"""Records a second that anybody is expected to answer."""


@dataclass(frozen=True)
class Drained:
    records_per_second: float
    cpu_microseconds: float
    """Of the contender's processes, a record."""
    peak_mebibytes: float
    """The memory that they have had at most."""
    ended_at: float
    """When the last record had ended: seconds since 1970."""

    def values(self):
        return {name: value for name, value in asdict(self).items() if name in QUANTITIES}


def drain(bench, contender, backlog, look_every=LOOK_EVERY):
    before = bench.kafka.size(backlog.replies)
    with contender.serving(backlog.topic, backlog.partitions) as serving:
        drained = watch(bench.kafka, serving, backlog, before, look_every)
    status = last_reply(bench.kafka, backlog.replies).text("status-code")
    assert status.startswith("2"), f"the last answer was {status}"
    return drained


def draining(bench, contender, backlog):
    """The same as a row of a part."""
    return lambda: drain(bench, contender, backlog).values()


def watch(kafka, serving, backlog, before, look_every):
    give_up = time.monotonic() + PATIENCE + backlog.records / SLOWEST
    began = None
    while True:
        now, ended, cpu = time.monotonic(), ended_records(kafka, serving, backlog, before), serving.cpu_seconds()
        if began is None and ended >= WARM_UP * backlog.records:
            began = now, ended, cpu
        if ended >= backlog.records:
            break
        serving.check()
        assert now < give_up, f"{ended} of {backlog.records} records are answered"
        time.sleep(look_every)
    ended_at = time.time()
    # The smallest backlogs may be answered between two looks.
    count, seconds = max(ended - began[1], 1), max(now - began[0], look_every)
    return Drained(count / seconds, (cpu - began[2]) / count * 1e6, serving.peak_mebibytes(), ended_at)


def ended_records(kafka, serving, backlog, before):
    """The markers of transactions take places among the replies, so there what is committed is counted."""
    if serving.exactly_once:
        return sum(kafka.committed(serving.group, backlog.topic).values())
    return kafka.size(backlog.replies) - before


def last_reply(kafka, topic):
    """Some reply of the last batches: near the end of one partition, where a transaction's marker may stand."""
    consumer = kafka.consumer()
    try:
        for partition in kafka.partitions(topic):
            begin, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), PATIENCE)
            if end > begin:
                consumer.assign([TopicPartition(topic, partition, max(end - 10, begin))])
                if (message := consumer.poll(PATIENCE)) is not None and message.error() is None:
                    return Record.of(message)
    finally:
        consumer.close()
    raise AssertionError(f"{topic} holds no reply")
