"""The measurements run, so that they can be run whenever somebody wants figures. What they come to is for `make bench`."""

import json
import os
import subprocess
import sys

from bench import goals
from bench.figures import Figure, Figures
from host import CALLGATE, REPOSITORY


def test_a_part_is_measured_and_reported(kafka, tmp_path):
    command = [sys.executable, "-m", "bench", "--only", "keys", "--scale", "smoke", "--executable", CALLGATE,
               "--out", tmp_path]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "tests"), "CALLGATE_TEST_BOOTSTRAP": kafka.bootstrap}
    subprocess.run(command, env=environment, check=True)
    told = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert [figure["row"] for figure in told] == ["1", "10", "100"]
    assert all(figure["records_per_second"] > 0 for figure in told)
    assert "| 100 |" in (tmp_path / "tables.md").read_text()
    assert (tmp_path / "growth.svg").read_text().endswith("</svg>\n")


def test_goals_are_judged_where_their_figures_are_there():
    figures = Figures([Figure("key-order", row, {"seconds": seconds})
                       for row, seconds in [("by key, 20 keys", 2.0), ("unordered", 0.7), ("unordered", 0.5),
                                            ("unordered", 0.9)]])
    judged = {goal.text: (value, goal.holds(value)) for goal, value in goals.judged(figures)}
    assert judged == {"key order, 20 keys: seconds": (2.0, True), "unordered: seconds": (0.7, False)}
