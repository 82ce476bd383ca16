"""The main comparison: the host in its ways, beside its two limits, and beside what people do without it."""

from bench.contenders.callgate import Callgate
from bench.contenders.calls import bare_call
from bench.contenders.native import NativeEcho
from bench.contenders.python import OneAtATime
from bench.contenders.serve import Bridge, StockServer, served
from bench.drain import draining

TITLE = "Side by side: orders of 1 KiB in 6 partitions, answered by the café in Rust"

REUSE = 128

NATIVE = "native echo"
NATIVE_TRANSACTIONS = "native echo, transactions"
BARE = "bare call, all limits"
BARE_REUSE = f"bare call, all limits, reuse {REUSE}"
BARE_UNLIMITED = "bare call, no limits"
BARE_SCANNED = "bare call, no limits, pagemap_scan (unsafe before wasmtime 50)"
SERVE = "wasmtime serve"
SERVE_REUSE = f"wasmtime serve, reuse {REUSE}"
BRIDGE = "bridge + wasmtime serve"
BRIDGE_REUSE = f"bridge + wasmtime serve, reuse {REUSE}"
PYTHON = "aiokafka, one at a time"
FRESH = "callgate"
FRESH_REUSE = f"callgate, reuse {REUSE}"
EXACTLY_ONCE = "callgate, exactly-once"
BY_KEY = "callgate, by key"
UNORDERED = "callgate, unordered"


def rows(bench):
    count = bench.scale.records
    backlog, fewer, fewest = (bench.backlog(max(count // share, 1)) for share in (1, 5, 20))
    reuse = {"instances": {"reuse": REUSE}}
    return {
        NATIVE: draining(bench, NativeEcho(bench), backlog),
        NATIVE_TRANSACTIONS: draining(bench, NativeEcho(bench, transactions=True), backlog),
        BARE: lambda: bare_call(bench),
        BARE_REUSE: lambda: bare_call(bench, arguments=["--reuse", REUSE]),
        BARE_UNLIMITED: lambda: bare_call(bench, program="bare_wasmtime"),
        BARE_SCANNED: lambda: bare_call(bench, program="bare_wasmtime", arguments=["--pagemap-scan"]),
        FRESH: draining(bench, Callgate(bench), backlog),
        FRESH_REUSE: draining(bench, Callgate(bench, **reuse), backlog),
        EXACTLY_ONCE: draining(bench, Callgate(bench, delivery="exactly-once"), backlog),
        BY_KEY: draining(bench, Callgate(bench, ordering="key"), backlog),
        UNORDERED: draining(bench, Callgate(bench, ordering="unordered"), backlog),
        SERVE: lambda: served(bench, StockServer(bench)),
        SERVE_REUSE: lambda: served(bench, StockServer(bench, REUSE)),
        BRIDGE: draining(bench, Bridge(bench), fewer),
        BRIDGE_REUSE: draining(bench, Bridge(bench, REUSE), fewer),
        PYTHON: draining(bench, OneAtATime(bench), fewest),
    }
