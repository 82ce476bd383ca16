"""How cost grows with the keys that are kept in order."""

from bench.contenders.callgate import Callgate
from bench.drain import draining

TITLE = "Keys: ordering by key, 6 partitions"

STEPS = (1, 10, 100, 1_000, 10_000, 100_000)


def rows(bench):
    return {f"{count:,}": draining(bench, Callgate(bench, ordering="key"),
                                   bench.backlog(bench.scale.records, keys=count))
            for count in STEPS if count <= bench.scale.records}
