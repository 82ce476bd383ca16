"""The parts of a run. Each is a module with a `TITLE`, and `rows(bench)`: by name, what measures one row once."""

from . import (
    growth_handlers,
    growth_hosts,
    growth_keys,
    growth_partitions,
    growth_tenants,
    key_order,
    languages,
    latency,
    low_rate,
    middleware,
    payloads,
    side_by_side,
    workers,
)

ALL = {
    "side-by-side": side_by_side,
    "latency": latency,
    "low-rate": low_rate,
    "payloads": payloads,
    "languages": languages,
    "middleware": middleware,
    "workers": workers,
    "key-order": key_order,
    "partitions": growth_partitions,
    "keys": growth_keys,
    "hosts": growth_hosts,
    "handlers": growth_handlers,
    "tenants": growth_tenants,
}
