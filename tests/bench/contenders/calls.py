"""The call without Kafka: one component in a loop, in this machine's limit."""

import json
import os
import subprocess

from bench.orders import SIZE
from host import GUESTS


def bare_call(bench, component="coffee-rust", size=SIZE, threads=None, program="bare_call", arguments=()):
    """By `program`: `bare_call` calls as the host does, with all limits; `bare_wasmtime` without any."""
    command = [bench.programs[program], GUESTS / f"{component}.wasm", "--bytes", size, "--threads",
               threads or os.cpu_count(), "--seconds", bench.scale.seconds, "--json", *arguments]
    told = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, check=True).stdout
    figures = json.loads(told)
    return {"records_per_second": figures["calls_per_second"], "cpu_microseconds": figures["cpu_microseconds"]}
