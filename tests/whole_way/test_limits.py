"""A guest that takes what it should not ends its own call, and nothing else; and what a guest gets is counted out."""

import base64
import json

import pytest
from mischief import seen

ONCE = {"attempts": 1}

GREEDY = [
    # path, and the reasons that may be given for its end
    ("spin", ["deadline"]),
    ("sleep", ["deadline"]),
    ("allocate", ["out-of-memory"]),
    ("recurse", ["trap"]),
    ("handles", ["trap", "out-of-memory"]),
    ("endless-log", ["deadline"]),
    ("endless-body", ["response-too-large"]),
    ("empty-writes", ["deadline", "invalid-response", "response-too-large"]),
    ("stalled-body", ["deadline"]),
    ("spin-after-response", ["deadline"]),
    ("large-response", ["response-too-large"]),
    ("huge-headers", ["response-too-large", "trap", "out-of-memory"]),
    ("trap", ["trap"]),
    ("exit-1", ["trap"]),
]


@pytest.fixture(scope="module")
def host(new_host):
    host = new_host(tenant={"max_memory": "32MiB", "max_response_body": "64KiB"})
    for path, _ in GREEDY:
        query = {name: f"header:{name}" for name in ("bytes", "count")}
        host.handler(path, f"POST /{path}", query=query, retry=ONCE, deadline="2s", partitions=4)
    host.handler("echo", "POST /echo")
    host.handler("count", "GET /count")
    host.handler("allowance", "GET /allocate", query={"mib": "header:mib"})
    for path in ("env", "arguments", "stdin", "filesystem", "socket", "random", "clock", "outbound"):
        host.handler(path, f"GET /{path}", query={"url": "header:url"}, env={"GREETING": "hello"})
    host.handler("log", "POST /log")
    host.environment["CALLGATE_CANARY"] = "not for guests"
    return host.start()


@pytest.mark.parametrize("path, reasons", GREEDY, ids=[path for path, _ in GREEDY])
def test_a_greedy_call_ends_alone(host, path, reasons):
    asked = {"handles": [("count", b"10000000")], "large-response": [("bytes", b"10000000")],
             "huge-headers": [("count", b"100000")]}
    greedy = [host.send(path, headers=asked.get(path, []), partition=partition) for partition in range(4)]
    for n in range(20):
        assert seen(host.ask("echo", f"{path} {n}".encode())).body == f"{path} {n}".encode()
    for record in greedy:
        assert host.dead_letter(record).text("x-callgate-dlt-reason") in reasons


def test_many_greedy_calls_of_all_kinds_at_once(host):
    greedy = [host.send(path, headers=[("bytes", b"10000000"), ("count", b"1000000")], partition=partition)
              for partition in range(4) for path, _ in GREEDY]
    assert seen(host.ask("echo", b"meanwhile")).body == b"meanwhile"
    for record in greedy:
        host.dead_letter(record)
    assert seen(host.ask("echo", b"afterwards")).body == b"afterwards"


def test_cpu_is_limited_apart_from_the_deadline(new_host):
    host = new_host(tenant={"max_cpu": "200ms"})
    host.handler("spin", "POST /spin", retry=ONCE, deadline="30s")
    host.handler("sleep", "POST /sleep", retry=ONCE, deadline="30s", query={"ms": "header:ms"})
    host.start()
    assert host.dead_letter(host.send("spin")).text("x-callgate-dlt-reason") == "deadline"
    assert host.ask("sleep", headers=[("ms", b"1000")]).text("status-code") == "200", "who waits does not compute"


def test_every_record_gets_a_fresh_instance(host):
    assert [json.loads(host.ask("count").value)["count"] for _ in range(5)] == [1] * 5


def test_memory_within_the_limit_is_given(host):
    assert host.ask("allowance", headers=[("mib", b"20")]).text("status-code") == "200"


# What a guest gets


def answer_of(host, path, **headers):
    reply = host.ask(path, headers=[(name, value.encode()) for name, value in headers.items()])
    assert reply.text("status-code") == "200"
    return json.loads(reply.value)


def test_a_guest_sees_its_own_environment_only(host):
    assert answer_of(host, "env") == {"GREETING": "hello"}


def test_a_guest_has_no_arguments_files_or_stdin(host):
    assert answer_of(host, "arguments")["arguments"] in ([], [""])
    assert answer_of(host, "filesystem")["preopens"] == []
    assert "error" in answer_of(host, "filesystem")
    assert answer_of(host, "stdin").get("stdin", "") == ""


def test_a_guest_has_no_network(host):
    tried = answer_of(host, "socket")
    assert "error" in tried["connect"] and "error" in tried["lookup"]
    for url in (f"http://{host.admin}/healthz", f"http://{host.kafka.bootstrap}/", "http://169.254.169.254/"):
        assert "error" in answer_of(host, "outbound", url=url)


def test_a_guest_has_clocks_and_random(host):
    assert answer_of(host, "clock")["wall_ms"] > 1_700_000_000_000
    assert len({base64.b64decode(answer_of(host, "random")["random"]) for _ in range(3)}) == 3


def test_what_a_guest_prints_is_in_the_log_with_its_name(host):
    host.ask("log", f"a line of {host.tenant}\nand another".encode())
    host.until(lambda: host.log().count(f"a line of {host.tenant}") >= 2, "does not log stdout and stderr")
    line = next(line for line in host.log().splitlines() if f"a line of {host.tenant}" in line)
    assert "log" in line.replace(f"a line of {host.tenant}", "") and "and another" not in line


def test_a_guest_cannot_write_a_line_of_the_hosts(host):
    """Control characters would let it clear a terminal, or forge another's line."""
    host.ask("log", b"before \x1b[2J \r forged of " + host.tenant.encode())
    host.until(lambda: f"forged of {host.tenant}" in host.log(), "does not log")
    assert "\x1b[2J" not in host.log()
    assert not [line for line in host.log().replace("\r", "\n").splitlines() if line.startswith(" forged")]
