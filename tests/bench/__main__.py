#!/usr/bin/env python3
"""Speed and cost, measured side by side on a real Apache Kafka.

    make bench                                       all of it: some two hours on two cores
    make bench QUICK=1                               each row once, with few records: a look at the ratios
    make bench ONLY=side-by-side,key-order           some parts
    make bench OUT=docs/figures                      written where docs/performance.md reads them

All rows of a part are measured in turn, and that several times over, so that what the machine does meanwhile meets all of
them; what is shown is the median, with the lowest and the highest. All share the machine with the broker, so compare rows
with each other, and with nothing else.

Progress goes to stderr. The results go, as a table for people, as JSON and as pictures, to the folder of --out, and the
table to stdout.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from host import REPOSITORY
from kafka.broker import BrokerError
from kill_run import a_broker

from . import parts, report
from .figures import Figure, Figures, written
from .programs import progress
from .workbench import FULL, QUICK, SMOKE, Workbench

# A broker that is starved by the contenders, which it shares the machine with, must not be thought dead.
BROKER = {"broker.session.timeout.ms": 9000}

OUT = REPOSITORY / "target" / "bench"
SCALES = {scale.name: scale for scale in (FULL, QUICK, SMOKE)}


def main():
    parser = argparse.ArgumentParser(prog="bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="some of: " + ", ".join(parts.ALL))
    parser.add_argument("--scale", choices=SCALES, default=FULL.name)
    parser.add_argument("--repeats", type=int, help="in place of the scale's own number")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--executable", help="a host, instead of building one for a release")
    options = parser.parse_args()
    wanted = [name.strip() for name in options.only.split(",") if name.strip()] or list(parts.ALL)
    if unknown := [name for name in wanted if name not in parts.ALL]:
        parser.error(f"no such part: {', '.join(unknown)}")
    scale = SCALES[options.scale]
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder, a_broker(folder, BROKER) as kafka:
        bench = Workbench(folder, kafka, scale, options.executable)
        for name in wanted:
            measure(bench, name, options.repeats or scale.repeats, figures)
            # After each part, so that a run which is broken off has not been for nothing.
            report.write(figures, scale, options.out)
    print((options.out / report.TABLES).read_text())


def measure(bench, part, repeats, figures):
    began = time.monotonic()
    rows = parts.ALL[part].rows(bench)
    for repeat in range(repeats):
        for row, once in rows.items():
            figures.add(Figure(part, row, once()))
            values = figures.all[-1].values
            told = "  ".join(f"{written(name, value)} {name}" for name, value in values.items())
            progress(f"{time.monotonic() - began:6.0f} s  {part} {repeat + 1}/{repeats}  {row}:  {told}")


if __name__ == "__main__":
    try:
        main()
    except (BrokerError, AssertionError) as error:
        sys.exit(f"bench: {error}")
