"""What the host is meant to reach: ratios of figures of one run, each with its bound."""

from collections.abc import Callable
from dataclasses import dataclass

from .parts import latency, low_rate, middleware
from .parts import side_by_side as main

CPU, RATE, P50, P99 = "cpu_microseconds", "records_per_second", "p50_milliseconds", "p99_milliseconds"


@dataclass(frozen=True)
class Goal:
    text: str
    reached: Callable
    """From a lookup of medians to the figure; fails where one of them was not measured."""
    at_most: float | None = None
    at_least: float | None = None
    digits: int = 2

    def holds(self, value):
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)

    def bound(self):
        return f"at most {self.at_most:g}" if self.at_most is not None else f"at least {self.at_least:g}"


def of(part, quantity):
    """Reads like `cpu(m, row)`: the median of that row, in that part."""
    return lambda medians, row: medians(part, row, quantity)


cpu, rate = of("side-by-side", CPU), of("side-by-side", RATE)
payload, layer, worker, calls = of("payloads", CPU), of("middleware", CPU), of("workers", CPU), of("workers", RATE)
p50, p99, alone = of("latency", P50), of("latency", P99), of("low-rate", P50)
took = of("key-order", "seconds")

AT_HALF = latency.row("callgate", "half")


def no_later(quantity):
    """One and a half times the echo's latency at the same rate, or 5 ms more: whichever allows more is 1."""
    return lambda m: quantity(m, AT_HALF) / max(1.5 * quantity(m, latency.NATIVE_BESIDE),
                                                quantity(m, latency.NATIVE_BESIDE) + 5)


GOALS = [
    Goal("CPU a record, fresh: callgate / (native echo + bare call)",
         lambda m: cpu(m, main.FRESH) / (cpu(m, main.NATIVE) + cpu(m, main.BARE)), at_most=1.15),
    Goal("CPU a call: all limits / no limits", lambda m: cpu(m, main.BARE) / cpu(m, main.BARE_UNLIMITED), at_most=1.25),
    Goal("records a CPU second, fresh: callgate / `wasmtime serve`",
         lambda m: cpu(m, main.SERVE) / cpu(m, main.FRESH), at_least=5),
    Goal("records a CPU second: callgate fresh / `wasmtime serve` with reuse 128",
         lambda m: cpu(m, main.SERVE_REUSE) / cpu(m, main.FRESH), at_least=1),
    Goal("records a CPU second, fresh: callgate / bridge", lambda m: cpu(m, main.BRIDGE) / cpu(m, main.FRESH), at_least=8),
    Goal("records a CPU second: callgate fresh / aiokafka, one at a time",
         lambda m: cpu(m, main.PYTHON) / cpu(m, main.FRESH), at_least=8),
    Goal("records a CPU second, reuse: callgate / native echo",
         lambda m: cpu(m, main.NATIVE) / cpu(m, main.FRESH_REUSE), at_least=0.33),
    Goal("records a CPU second, reuse: callgate / [1 / (native echo + bare call)]",
         lambda m: (cpu(m, main.NATIVE) + cpu(m, main.BARE_REUSE)) / cpu(m, main.FRESH_REUSE), at_least=0.85),
    Goal("records/s: exactly-once / at-least-once", lambda m: rate(m, main.EXACTLY_ONCE) / rate(m, main.FRESH), at_least=0.8),
    Goal("records a CPU second: exactly-once / at-least-once",
         lambda m: cpu(m, main.FRESH) / cpu(m, main.EXACTLY_ONCE), at_least=0.8),
    Goal("p50 at half load: callgate / the larger of 1.5 native echo and native echo + 5 ms", no_later(p50), at_most=1),
    Goal("p99 at half load: the same", no_later(p99), at_most=1),
    Goal("p50 at 500 records/s, at-least-once, ms", lambda m: alone(m, low_rate.AT_LEAST_ONCE), at_most=2),
    Goal("p50 at 500 records/s, exactly-once, ms", lambda m: alone(m, low_rate.EXACTLY_ONCE), at_most=30),
    Goal("CPU a record: two workers / one", lambda m: worker(m, "callgate, 2") / worker(m, "callgate, 1"), at_most=1.1),
    Goal("calls/s of the bare call: two threads / one", lambda m: calls(m, "bare call, 2") / calls(m, "bare call, 1"),
         at_least=1.7),
    Goal("CPU a record at 64 KiB, unparsed: callgate / (native echo + bare call)",
         lambda m: payload(m, "callgate, 64 KiB") / (payload(m, "native echo, 64 KiB") + payload(m, "bare call, 64 KiB")),
         at_most=1.3),
    Goal("CPU of one more component / bare call of it",
         lambda m: (layer(m, middleware.WRAPPED) - layer(m, middleware.ALONE)) / layer(m, middleware.BARE), at_most=1.25),
    Goal("key order, 20 keys: seconds", lambda m: took(m, "by key, 20 keys"), at_most=2.09),
    Goal("key order, 1,000 keys: seconds", lambda m: took(m, "by key, 1,000 keys"), at_most=0.69),
    Goal("unordered: seconds", lambda m: took(m, "unordered"), at_most=0.62),
]


def judged(figures):
    """Each goal whose figures were measured, with what was reached."""
    def median(part, row, quantity):
        value = figures.median(part, row, quantity)
        if not value:
            raise LookupError(f"{part}, {row}: no {quantity}")
        return value

    for goal in GOALS:
        try:
            yield goal, goal.reached(median)
        except LookupError:
            continue
