"""Ordering: one partition, and a handler that waits 0 to 5 ms in each call, at random, in a fresh instance a record.

The best known parallel consumer in Java publishes 22.2 s, 2.24 s, 2.06 s and 2.83 s for 10,000 such records: by
partition, with 20 keys, with 1,000 keys, unordered. With 100 calls in flight on two cores it took 29.4 s, 2.09 s, 0.69 s
and 0.62 s, without any sandbox.
"""

from bench.contenders.callgate import Callgate
from bench.drain import drain

TITLE = "Key order: 10,000 records on one partition, each waits 0 to 5 ms"

RECORDS = 10_000
IN_FLIGHT = 100
SIZE = 100
LOOK_EVERY = 0.01

# What such a handler needs. A call reserves the most that it can make the host hold, and with a tenant's defaults some
# hundred of them would be all of a small machine's memory.
TENANT = {"max_memory": "4MiB", "max_request_body": "64KiB", "max_response_body": "64KiB", "max_header_bytes": "4KiB",
          "max_headers": 32, "max_in_flight": IN_FLIGHT}

ROWS = {
    # name: ordering, keys
    "by partition": ("partition", 1000),
    "by key, 20 keys": ("key", 20),
    "by key, 1,000 keys": ("key", 1000),
    "unordered": ("unordered", 1000),
}


def rows(bench):
    records = min(RECORDS, bench.scale.records)
    backlogs = {keys: bench.backlog(records, partitions=1, size=SIZE, keys=keys) for _, keys in ROWS.values()}
    return {name: lambda ordering=ordering, backlog=backlogs[keys]: took(bench, ordering, backlog)
            for name, (ordering, keys) in ROWS.items()}


def took(bench, ordering, backlog):
    """Seconds from the first reply, as its timestamp tells when it was decided, to the last one at the broker."""
    contender = Callgate(bench, "yardstick", tenant=TENANT, operation="POST /wait", path={}, ordering=ordering,
                         max_in_flight=IN_FLIGHT)
    replies = bench.kafka.log(backlog.replies)
    replies.new()
    drained = drain(bench, contender, backlog, LOOK_EVERY)
    began = min(reply.timestamp for reply in replies.new()) / 1000
    return {"seconds": drained.ended_at - began, "cpu_microseconds": drained.cpu_microseconds}
