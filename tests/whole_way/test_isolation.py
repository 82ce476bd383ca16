"""Two tenants on one host: whatever A's handlers do, B's records are answered, and the host stays as it is."""

from pathlib import Path

import pytest
from mischief import seen

LANES = 8
RECORDS = 4 * LANES
FAILING_CALLS = 2000
LEEWAY_MEBIBYTES = 64

MISBEHAVIOURS = ["spin", "sleep", "allocate", "recurse", "trap", "panic", "exit-1", "handles", "endless-body", "empty-writes",
                 "stalled-body", "endless-log", "large-response", "huge-headers", "no-response"]


def both(new_host, tenant=None, neighbour=None, **sections):
    """B, which has a host, and A beside it."""
    b = new_host()
    a = b.neighbour("a")
    b.configure(tenants={b.tenant: tenant or {}, a.tenant: neighbour or {}}, **sections)
    return a, b


@pytest.fixture(scope="module")
def tenants(new_host):
    a, b = both(new_host, neighbour={"max_memory": "16MiB", "max_cpu": "100ms", "max_response_body": "64KiB"})
    for name in MISBEHAVIOURS:
        query = {name: f"header:{name}" for name in ("bytes", "count")}
        a.handler(name, f"POST /{name}", partitions=LANES, query=query, retry={"attempts": 1}, deadline="300ms")
    a.handler("headers", "POST /echo", partitions=LANES)
    b.handler("echo", "POST /echo", partitions=4)
    b.start()
    return a, b


def send_many(host, handler, count, headers=()):
    host.kafka.send_all(host.topic(handler), [{"partition": number % LANES, "headers": list(headers)}
                                              for number in range(count)])


def is_answered(host, times=10):
    for number in range(times):
        assert seen(host.ask("echo", f"{number}".encode())).body == f"{number}".encode()


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_a_neighbour_is_answered_meanwhile(tenants, name):
    a, b = tenants
    send_many(a, name, RECORDS, [("bytes", b"10000000"), ("count", b"100000")])
    is_answered(b)


def test_a_neighbour_is_answered_while_records_come_with_ten_thousand_headers(tenants):
    a, b = tenants
    send_many(a, "headers", RECORDS, [(f"x-{number}", b"1") for number in range(10_000)])
    is_answered(b)


def test_all_at_once_and_each_has_its_end(tenants):
    a, b = tenants
    for name in MISBEHAVIOURS:
        send_many(a, name, LANES, [("bytes", b"10000000"), ("count", b"100000")])
    is_answered(b)
    for name in MISBEHAVIOURS:
        assert len(a.kafka.log(f"{a.topic(name)}-dlt").at_least(RECORDS + LANES)) == RECORDS + LANES


def test_failing_calls_leave_no_memory_behind(tenants):
    a, b = tenants
    kinds = ["trap", "allocate", "recurse", "endless-body", "huge-headers"]
    measured = []
    for _ in range(4):
        for name in kinds:
            ended = len(a.kafka.log(f"{a.topic(name)}-dlt").all())
            send_many(a, name, FAILING_CALLS // 4 // len(kinds), [("count", b"100000")])
            a.kafka.log(f"{a.topic(name)}-dlt").at_least(ended + FAILING_CALLS // 4 // len(kinds))
        measured.append(resident_mebibytes(b.process.pid))
    assert measured[-1] <= measured[0] + LEEWAY_MEBIBYTES, measured


def test_calls_that_hold_memory_leave_some_to_a_neighbour(new_host):
    a, b = both(new_host, neighbour={"max_memory": "64MiB", "max_deadline": "10m"}, limits={"memory": "1GiB"})
    a.handler("sleep", "POST /sleep", partitions=64, retry={"attempts": 1}, deadline="10m", max_in_flight=64)
    b.handler("echo", "POST /echo")
    b.start()
    sent = a.kafka.send_all(a.topic("sleep"), [{"partition": number} for number in range(64)])
    b.until(lambda: held(b, a.group) == 64, "has not taken in all records of A")
    is_answered(b, times=3)
    assert not a.has_dead_letters(sent[0]), "A's calls have kept it waiting until their deadline"


def held(host, group):
    """Records in memory, of which as many are being worked on as may be."""
    metric = f'callgate_records_held{{group="{group}"}} '
    return sum(int(line.removeprefix(metric)) for line in host.get("/metrics")[1].splitlines() if line.startswith(metric))


def resident_mebibytes(pid):
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1024
