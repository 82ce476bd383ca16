"""Components on their way into a running host: compiled beforehand, compiled in a child, tried before they run."""

import base64
import os
import shutil
import signal
from pathlib import Path

from host import GUESTS, callgate, place, toml

SPINS = base64.b64decode(
    "AGFzbQ0AAQAHLgFCAgQAEGluY29taW5nLXJlcXVlc3QDAQQAEXJlc3BvbnNlLW91dHBhcmFtAwEKGgEAFXdhc2k6aHR0cC90"
    "eXBlc0AwLjIuMAUABioCAwAAEGluY29taW5nLXJlcXVlc3QDAAARcmVzcG9uc2Utb3V0cGFyYW0BQABhc20BAAAAAQkCYAAA"
    "YAJ/fwADAwIAAQcKAQZoYW5kbGUAAQgBAAoMAgcAA0AMAAsLAgALAAkEbmFtZQACAW0CBAEAAAAHIANpAWkCQAIHcmVxdWVz"
    "dAMMcmVzcG9uc2Utb3V0BAEABgwBAAABAAZoYW5kbGUIBgEAAAAABQUNAQEBAAZoYW5kbGUBAAsmAQAgd2FzaTpodHRwL2lu"
    "Y29taW5nLWhhbmRsZXJAMC4yLjAFAQAAUQ5jb21wb25lbnQtbmFtZQEGABEBAAFtAQYAEgEAAWkBCgEBAAZoYW5kbGUBEAMC"
    "AQdyZXF1ZXN0AgNvdXQBEgUCAAV0eXBlcwEHaGFuZGxlcg=="
)
"""A handler of WASI 0.2 whose core module has a start function that spins: `(func (loop (br 0))) (start 0)`."""


def cached_in(host, folder):
    """The host with a cache of its own."""
    host.config.write_text(toml({
        "kafka": {"bootstrap_servers": host.kafka.bootstrap},
        "deploy": {"directory": "handlers", "cache": str(folder)},
        "admin": {"listen": host.admin},
        "tenants": {host.tenant: {}},
    }))


def compilers(host):
    """The children of the host that compile something."""
    listed = Path(f"/proc/{host.process.pid}/task").glob("*/children")
    return [child for children in listed for child in children.read_text().split()]


def hanging(host):
    """The host runs the handler `env`, and a compiler that hangs has `slow`."""
    cached_in(host, host.folder / "code")
    host.handler("env", "GET /env", env={"VERSION": "1"})
    host.start()
    host.handler("slow", "POST /", component="coffee-js")
    host.until(lambda: compilers(host), "compiles nothing")
    os.kill(int(compilers(host)[0]), signal.SIGSTOP)
    return host


def test_a_host_with_a_filled_cache_compiles_nothing(new_host):
    host = new_host()
    host.handler("coffee", "POST /", component="coffee-rust")
    cached_in(host, host.folder / "code")
    compiled = callgate("compile", "--config", str(host.config))
    assert compiled.returncode == 0, compiled.stderr
    assert f"{host.tenant}/coffee-rust.wasm sha256:" in compiled.stdout
    code = list((host.folder / "code").iterdir())
    assert len(code) == 1
    # As in an image: nothing is to be written there any more.
    code[0].chmod(0o400)
    code[0].parent.chmod(0o500)
    host.start()
    assert host.ask("coffee", b'{"drink":"mocha"}').text("status-code") == "201"
    assert host.stop() == 0
    assert "compiling" not in host.log()
    code[0].parent.chmod(0o700)


def test_a_host_that_compiles_stops_at_once(new_host):
    host = new_host()
    cached_in(host, host.folder / "code")
    host.handler("coffee", "POST /", component="coffee-js")
    host.start(ready=False)
    host.until(lambda: compilers(host), "compiles nothing")
    [compiler] = compilers(host)
    host.until(lambda: Path(f"/proc/{compiler}/environ").read_bytes() == b"", "gives it an environment")
    assert host.stop() == 0
    assert "a version is loaded" not in host.log()
    assert not Path(f"/proc/{compiler}").exists()
    assert not list((host.folder / "code").iterdir()), "no draft is left"


def test_a_compiler_that_hangs_holds_nothing_up_but_other_versions(new_host):
    host = hanging(new_host())
    assert host.ask("env").text("status-code") == "200"
    assert host.stop() == 0


def test_what_is_deleted_while_it_is_compiled_holds_up_no_other_version(new_host):
    host = hanging(new_host())
    home = host.folder / "handlers" / host.tenant
    (home / "slow.toml").unlink()
    (home / "coffee-js.wasm").unlink()
    host.handler("next", "POST /", component="coffee-rust")
    assert host.ask("next", b'{"drink":"mocha"}').text("status-code") == "201"
    assert host.stop() == 0


def test_a_component_that_spins_when_it_starts_is_refused_and_its_neighbours_go_on(new_host):
    host = new_host()
    host.handler("env", "GET /env", env={"VERSION": "1"})
    host.start()
    spins = host.folder / "spins.wasm"
    spins.write_bytes(SPINS)
    home = host.folder / "handlers" / host.tenant
    place(spins, home / "spins.wasm")
    # On a busy machine it may not be let compute for long enough, and is tried again.
    host.until(lambda: "a version is refused" in host.log(), "does not refuse it")
    [line] = [line for line in host.log().splitlines() if "a version is refused" in line]
    assert "deploy.component-refused" in line
    assert "spins.wasm cannot be run: the component does not start: " in line
    assert host.ask("env").text("status-code") == "200"
    checked = callgate("check", "--config", str(host.config))
    assert checked.returncode == 2 and "the component does not start" in checked.stdout, checked.stdout
    # What takes its place is tried as well, and runs.
    host.kafka.create(host.topic("spins"))
    shutil.copyfile(GUESTS / "coffee-rust.wasm", home / ".next")
    (home / ".next").rename(home / "spins.wasm")
    assert host.ask("spins", b'{"drink":"mocha"}').text("status-code") == "201"
