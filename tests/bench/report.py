"""What a run has come to: tables for people, JSON for programs, pictures for both."""

import json
import os
import platform
import time
from pathlib import Path

from kafka.broker import VERSION as KAFKA_VERSION

from . import goals, parts, picture
from .figures import QUANTITIES, written
from .programs import SERVER_VERSION

TABLES = "tables.md"
FIGURES = "figures.json"
SIDE_BY_SIDE = "side-by-side.svg"
GROWTH = "growth.svg"

GROWING = ["partitions", "keys", "hosts", "handlers", "tenants"]


def write(figures, scale, out):
    """All of it, in files of these names, in a folder that may have been there before."""
    out.mkdir(parents=True, exist_ok=True)
    about = surroundings(scale)
    (out / TABLES).write_text(tables(figures, about))
    (out / FIGURES).write_text(json.dumps({"about": about, "figures": [
        {"part": figure.part, "row": figure.row, **figure.values} for figure in figures.all]}, indent=1) + "\n")
    measured = figures.parts()
    if "side-by-side" in measured:
        (out / SIDE_BY_SIDE).write_text(picture.bars(
            "CPU of the host a record, in microseconds: less is better",
            [(row, figures.median("side-by-side", row, "cpu_microseconds"), row.startswith("callgate"))
             for row in figures.rows("side-by-side")]))
    if growing := [part for part in GROWING if part in measured]:
        (out / GROWTH).write_text(picture.columns(
            "CPU of the host a record, in microseconds, as it grows",
            [(part, [(row, figures.median(part, row, "cpu_microseconds")) for row in figures.rows(part)])
             for part in growing]))


def surroundings(scale):
    return {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "processor": processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "kafka": KAFKA_VERSION,
        "wasmtime": SERVER_VERSION,
        "scale": scale.name,
        "records": scale.records,
        "seconds": scale.seconds,
    }


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def tables(figures, about):
    text = [f"Measured on {about['when']}: {about['cores']} × {about['processor']}, Apache Kafka {about['kafka']} on the "
            f"same machine, wasmtime {about['wasmtime']}, scale {about['scale']}. Medians; in brackets the lowest and the "
            f"highest of the repeats.", ""]
    if judged := list(goals.judged(figures)):
        text += ["## Goals", "", "| ratio | measured | goal | |", "|---|---:|---|---|"]
        text += [f"| {goal.text} | {value:.{goal.digits}f} | {goal.bound()} | {'yes' if goal.holds(value) else 'no'} |"
                 for goal, value in judged]
        text.append("")
    for part in figures.parts():
        quantities = figures.quantities(part)
        text += [f"## {parts.ALL[part].TITLE}", "",
                 "| | " + " | ".join(QUANTITIES[name][0] for name in quantities) + " |",
                 "|---|" + "---:|" * len(quantities)]
        text += [f"| {row} | " + " | ".join(cell(figures, part, row, name) for name in quantities) + " |"
                 for row in figures.rows(part)]
        text.append("")
    return "\n".join(text)


def cell(figures, part, row, quantity):
    repeats = figures.repeats(part, row, quantity)
    if not repeats:
        return ""
    median = written(quantity, figures.median(part, row, quantity))
    low, high = (written(quantity, bound(repeats)) for bound in (min, max))
    return median if low == high else f"{median} ({low} to {high})"
