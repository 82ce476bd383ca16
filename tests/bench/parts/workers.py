"""Two workers beside one: what a record costs then, and how much faster the bare call becomes."""

from bench.contenders.callgate import Callgate
from bench.contenders.calls import bare_call
from bench.drain import draining

TITLE = "Workers: one and two"


def rows(bench):
    backlog = bench.backlog(bench.scale.records)
    return {
        **{f"callgate, {count}": draining(bench, Callgate(bench, workers=count), backlog) for count in (1, 2)},
        **{f"bare call, {count}": lambda count=count: bare_call(bench, threads=count) for count in (1, 2)},
    }
