"""The programs that are measured, built for a release, and the stock server beside them."""

import json
import subprocess
import sys

from host import REPOSITORY

BENCHES = ["native_echo", "native_echo_transactions", "bare_call", "bare_wasmtime", "http_load", "bridge"]

SERVER = "wasmtime-cli"
SERVER_VERSION = "48.0.8"
"""The version of wasmtime that the host stands on."""
SERVER_FEATURES = ["run", "serve", "cranelift", "component-model-async", "pooling-allocator", "parallel-compilation",
                   "threads", "logging", "backtrace"]
TOOLS = REPOSITORY / "target" / "tools"


def build(benches=()):
    """The host and these benches, by their names."""
    progress("building")
    command = ["cargo", "build", "--release", "--locked", "--package", "callgate", "--bin", "callgate",
               *(argument for bench in benches for argument in ("--bench", bench)),
               "--message-format", "json-render-diagnostics"]
    output = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True).stdout
    artifacts = [json.loads(message) for message in output.splitlines()]
    return {artifact["target"]["name"]: artifact["executable"] for artifact in artifacts if artifact.get("executable")}


def stock_server():
    """The command `wasmtime`, installed once: it takes some minutes."""
    program = TOOLS / "bin" / "wasmtime"
    if not program.exists() or version(program) != SERVER_VERSION:
        progress(f"installing {SERVER} {SERVER_VERSION}, once")
        subprocess.run(["cargo", "install", "--quiet", "--locked", "--root", TOOLS, "--target-dir", TOOLS / "build",
                        f"{SERVER}@{SERVER_VERSION}", "--no-default-features", "--features", ",".join(SERVER_FEATURES)],
                       stdout=sys.stderr, check=True)
    return program


def version(program):
    told = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return told.split()[1]


def progress(text):
    print(text, file=sys.stderr, flush=True)
