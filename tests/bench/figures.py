"""What was measured: one figure a row and repeat, and what is made of the repeats."""

import statistics
from dataclasses import dataclass

QUANTITIES = {
    # name: what heads its column, and how one is written
    "records_per_second": ("records/s", "{:,.0f}"),
    "cpu_microseconds": ("CPU µs/record", "{:,.1f}"),
    "peak_mebibytes": ("peak MiB", "{:,.0f}"),
    "offered_per_second": ("offered/s", "{:,.0f}"),
    "p50_milliseconds": ("p50 ms", "{:,.1f}"),
    "p99_milliseconds": ("p99 ms", "{:,.1f}"),
    "p999_milliseconds": ("p99.9 ms", "{:,.1f}"),
    "seconds": ("seconds", "{:,.2f}"),
}


@dataclass(frozen=True)
class Figure:
    part: str
    row: str
    values: dict[str, float]
    """By the names of QUANTITIES."""


class Figures:
    """All of one run, in the order in which they were measured."""

    def __init__(self, figures=()):
        self.all = list(figures)

    def add(self, figure):
        self.all.append(figure)

    def parts(self):
        return list(dict.fromkeys(figure.part for figure in self.all))

    def rows(self, part):
        return list(dict.fromkeys(figure.row for figure in self.all if figure.part == part))

    def quantities(self, part):
        measured = {name for figure in self.all if figure.part == part for name in figure.values}
        return [name for name in QUANTITIES if name in measured]

    def repeats(self, part, row, quantity):
        return [figure.values[quantity] for figure in self.all
                if (figure.part, figure.row) == (part, row) and quantity in figure.values]

    def median(self, part, row, quantity):
        """None where that was not measured."""
        repeats = self.repeats(part, row, quantity)
        return statistics.median(repeats) if repeats else None


def written(quantity, value):
    return QUANTITIES[quantity][1].format(value)
