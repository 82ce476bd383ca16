"""The same handler in several languages, each in a fresh instance a record, and reused where it bears that."""

from bench.contenders.callgate import Callgate
from bench.drain import draining

TITLE = "Languages: the same café, orders of 1 KiB"

REUSE = {"instances": {"reuse": 128}}

ROWS = {
    # name: component, route, what share of the records is enough
    "Rust": ("coffee-rust", {}, 1),
    "Rust, reuse 128": ("coffee-rust", REUSE, 1),
    "Rust, WASI 0.3": ("coffee-rust-p3", {}, 2),
    "Rust, WASI 0.3, reuse 128": ("coffee-rust-p3", REUSE, 2),
    "JavaScript": ("coffee-js", {}, 10),
    "Python": ("coffee-python", {}, 50),
    "Python, reuse 128": ("coffee-python", REUSE, 5),
}


def rows(bench):
    return {name: draining(bench, Callgate(bench, component, **route), bench.backlog(bench.scale.records // share))
            for name, (component, route, share) in ROWS.items()}
