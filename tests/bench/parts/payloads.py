"""How cost grows with the size of a record: a guest that answers with the body, unread."""

from bench.contenders.callgate import Callgate
from bench.contenders.calls import bare_call
from bench.contenders.native import NativeEcho
from bench.drain import draining

TITLE = "Payloads: the same bytes back, and nobody parses them"

GUEST = "yardstick"
SIZES = {"100 B": 100, "1 KiB": 1 << 10, "64 KiB": 64 << 10}
LARGE = 16 << 10
"""From here on a tenth of the records is enough."""


def row(contender, size):
    return f"{contender}, {size}"


def rows(bench):
    found = {}
    for name, size in SIZES.items():
        backlog = bench.backlog(bench.scale.records // (10 if size >= LARGE else 1), size=size)
        found[row("native echo", name)] = draining(bench, NativeEcho(bench), backlog)
        found[row("bare call", name)] = lambda size=size: bare_call(bench, GUEST, size)
        found[row("callgate", name)] = draining(bench, Callgate(bench, GUEST), backlog)
    return found
