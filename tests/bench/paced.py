"""Latency: a contender is given records at a steady rate, and each is timed from when it was due to its reply."""

from load import LINGER, Load

from .orders import coffee_order
from .poured import pour
from .workbench import PARTITIONS

WARM_UP = 4
"""Seconds. Those contenders that cannot say when they are ready join their groups in them."""


def pacing(bench, contender, rate, linger=LINGER):
    """A row of a part. `linger`: of the sender, in milliseconds."""
    def once():
        topic, replies = bench.topic(PARTITIONS), bench.topic(PARTITIONS)
        load = Load(bench.kafka.bootstrap, topic, PARTITIONS, replies, PARTITIONS, coffee_order(), rate, linger)
        with contender.serving(topic, PARTITIONS) as serving:
            before = serving.cpu_seconds()
            observed = load.run(WARM_UP, bench.scale.seconds)
            serving.check()
            cpu = serving.cpu_seconds() - before
        assert observed.late, "no record was answered"
        return {
            "offered_per_second": rate,
            "cpu_microseconds": cpu / (rate * (WARM_UP + bench.scale.seconds)) * 1e6,
            "p50_milliseconds": observed.quantile(0.5),
            "p99_milliseconds": observed.quantile(0.99),
            "p999_milliseconds": observed.quantile(0.999),
        }
    return once


def carried(bench, contender):
    """Records a second at which nothing piles up: at first as many as it answers when it gets all at once, then fewer and fewer."""
    topic, replies = bench.topic(PARTITIONS), bench.topic(PARTITIONS)
    with contender.serving(topic, PARTITIONS) as serving:
        count = max(bench.scale.records // 10, 1)
        pour(bench.kafka, [topic], replies, count, serving)
        rate = pour(bench.kafka, [topic], replies, count, serving)["records_per_second"]
        load = Load(bench.kafka.bootstrap, topic, PARTITIONS, replies, PARTITIONS, coffee_order(), rate)
        return load.carried(WARM_UP, bench.scale.seconds / 2)
