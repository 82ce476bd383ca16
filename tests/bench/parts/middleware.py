"""What one more component costs: the café with and without its milk, and a call of the milk by itself."""

from bench.contenders.callgate import Callgate
from bench.contenders.calls import bare_call
from bench.drain import draining

TITLE = "Middleware: one more component"

ALONE = "callgate, coffee"
WRAPPED = "callgate, milk around coffee"
BARE = "bare call of milk, answered at once"


def rows(bench):
    backlog = bench.backlog(bench.scale.records)
    return {
        ALONE: draining(bench, Callgate(bench), backlog),
        WRAPPED: draining(bench, Callgate(bench, middleware=["milk"]), backlog),
        BARE: lambda: bare_call(bench, "milk", program="bare_wasmtime"),
    }
