"""How long a record waits at half of the load that a contender can carry, and at nine tenths of it."""

from bench.contenders.callgate import Callgate
from bench.contenders.native import NativeEcho
from bench.contenders.python import OneAtATime
from bench.contenders.serve import Bridge, StockServer, served
from bench.paced import carried, pacing
from bench.programs import progress

TITLE = "Latency: orders of 1 KiB at a steady rate, from when each was due to its reply"

SHARES = {"half": 0.5, "90 %": 0.9}
NATIVE_BESIDE = "native echo at callgate's half"


def contenders(bench):
    return {
        "callgate": Callgate(bench, ready=True),
        "callgate, reuse 128": Callgate(bench, ready=True, instances={"reuse": 128}),
        "callgate, exactly-once": Callgate(bench, ready=True, delivery="exactly-once"),
        "native echo": NativeEcho(bench),
        "native echo, transactions": NativeEcho(bench, transactions=True),
        "bridge + wasmtime serve": Bridge(bench),
        "aiokafka, one at a time": OneAtATime(bench),
    }


def row(name, share):
    return f"{name}, {share}"


def rows(bench):
    found = {}
    for name, contender in contenders(bench).items():
        capacity = carried(bench, contender)
        progress(f"{name} carries {capacity:,.0f} records/s")
        if name == "callgate":
            found[NATIVE_BESIDE] = pacing(bench, NativeEcho(bench), capacity * SHARES["half"])
        for share, part in SHARES.items():
            found[row(name, share)] = pacing(bench, contender, capacity * part)
    for reuse in (1, 128):
        server = StockServer(bench, reuse)
        capacity = served(bench, server)["records_per_second"]
        for share, part in SHARES.items():
            name = "wasmtime serve" if reuse == 1 else f"wasmtime serve, reuse {reuse}"
            found[row(name, share)] = lambda server=server, rate=capacity * part: {
                **served(bench, server, rate), "offered_per_second": rate}
    return found
