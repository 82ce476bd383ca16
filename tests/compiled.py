"""Compiles the guests into the cache that all tests share, before any of them runs: beside other tests it takes minutes."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from host import CALLGATE, COMPILED, GUESTS, toml


def main():
    with tempfile.TemporaryDirectory() as folder:
        config, home = Path(folder) / "callgate.toml", Path(folder) / "handlers" / "all"
        home.mkdir(parents=True)
        config.write_text(toml({
            "kafka": {"bootstrap_servers": "127.0.0.1:9092"},
            "deploy": {"directory": "handlers", "cache": str(COMPILED)},
            "tenants": {"all": {}},
        }))
        for guest in GUESTS.glob("*.wasm"):
            shutil.copyfile(guest, home / guest.name)
        return subprocess.run([CALLGATE, "compile", "--config", config]).returncode


if __name__ == "__main__":
    sys.exit(main())
