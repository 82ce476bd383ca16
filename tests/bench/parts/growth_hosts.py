"""How cost grows with the hosts that share a topic, all on this machine."""

from bench.contenders.callgate import Callgate
from bench.poured import pour

TITLE = "Hosts: so many share 12 partitions"

PARTITIONS = 12
STEPS = (1, 2, 3, 4)


def rows(bench):
    return {f"{count}": lambda count=count: shared(bench, count) for count in STEPS}


def shared(bench, hosts):
    topic, replies = bench.topic(PARTITIONS), bench.topic(PARTITIONS)
    with Callgate(bench, hosts=hosts, ready=True).serving(topic, PARTITIONS) as serving:
        return pour(bench.kafka, [topic], replies, bench.scale.records, serving)
