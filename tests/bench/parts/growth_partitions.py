"""How cost grows with the partitions that one host has."""

from bench.contenders.callgate import Callgate
from bench.drain import draining

TITLE = "Partitions: the same records in more of them"

STEPS = (1, 4, 16, 64)


def rows(bench):
    return {f"{count}": draining(bench, Callgate(bench), bench.backlog(bench.scale.records, partitions=count))
            for count in STEPS}
