"""Whoever answers records or requests: each is started for one measurement, and its processes are known.

A contender has a method `serving(topic, partitions)`, a context in which it answers all that comes to that topic, and
says by which processes. It begins at the topic's first record.
"""

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass

from bench.processes import cpu_seconds, peak_mebibytes
from kafka.client import PATIENCE


@dataclass(frozen=True)
class Serving:
    processes: list[subprocess.Popen]
    group: str
    """Whose commits say how far it is."""
    exactly_once: bool = False

    def cpu_seconds(self):
        return sum(cpu_seconds(process.pid) for process in self.processes)

    def peak_mebibytes(self):
        return sum(peak_mebibytes(process.pid) for process in self.processes)

    def check(self):
        for process in self.processes:
            assert process.poll() is None, f"{process.args[0]} ended with status {process.returncode}"


@contextmanager
def running(command):
    """A process that is ended, if need be, when it is not wanted any more."""
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
