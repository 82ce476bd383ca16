"""Handlers of WASI 0.3: how their calls end, what is part of them, and what is refused. What they answer when all goes
well, and how they wrap each other, is shown with the café's."""

import json
import time

import pytest
from host import callgate

ONE_CALL = {"attempts": 1}

FAILURES = [
    # what the guest does; stage and reason of the dead letter; status of the error reply
    ("trap", "invoke", "trap", 502),
    ("recurse", "invoke", "trap", 502),
    ("exit-1", "invoke", "trap", 502),
    ("trap-after-response", "invoke", "trap", 502),
    ("allocate", "invoke", "out-of-memory", 502),
    ("error", "invoke", "no-response", 502),
    ("exit-0", "invoke", "no-response", 502),
    ("wrong-content-length", "response", "invalid-response", 502),
    ("given-up-body", "response", "invalid-response", 502),
    ("large-response", "response", "response-too-large", 502),
    ("endless-body", "response", "response-too-large", 502),
    ("spin", "invoke", "deadline", 504),
    ("wait", "invoke", "deadline", 504),
    ("yield", "invoke", "deadline", 504),
    ("unfinished-body", "invoke", "deadline", 504),
    ("sleep-after-response", "invoke", "deadline", 504),
]


@pytest.fixture(scope="module")
def host(new_host):
    host = new_host(tenant={"max_response_body": "64KiB", "max_memory": "32MiB"}, limits={"workers": 1})
    for what, *_ in FAILURES:
        host.handler(what, f"POST /{what}", "mischief-p3", retry=ONE_CALL, deadline="1s")
    host.handler("echo", "POST /echo/{id}", "mischief-p3")
    host.handler("after", "POST /sleep-after-response", "mischief-p3", query={"ms": "header:ms"})
    host.handler("again", "POST /count", "mischief-p3", instances={"reuse": 3})
    host.handler("alone", "POST /", "milk-p3")
    return host.start()


@pytest.mark.parametrize("what, stage, reason, status", FAILURES, ids=[what for what, *_ in FAILURES])
def test_each_failure_is_a_dead_letter_and_an_answer(host, what, stage, reason, status):
    request, reply = host.ask_and_keep(what)
    assert reply.text("status-code") == str(status)
    letter = host.dead_letter(request)
    assert (letter.text("x-callgate-dlt-stage"), letter.text("x-callgate-dlt-reason")) == (stage, reason)


def test_a_handler_is_told_of_the_record(host):
    request, reply = host.ask_and_keep("echo", b"hello", key=b"17", headers=[("id", b"a b")])
    told = json.loads(reply.value)
    headers = dict(told["headers"])
    assert (told["method"], told["authority"], told["path"], told["body"]) == ("POST", "echo", "/echo/a%20b", "aGVsbG8=")
    assert headers["x-kafka-key"] == "MTc="


def test_a_record_is_done_when_all_is_done_that_it_began(host):
    began = time.monotonic()
    reply = host.ask("after", headers=[("ms", b"500")])
    assert (reply.text("status-code"), reply.value) == ("200", b"all is well")
    assert time.monotonic() - began >= 0.5


def test_an_instance_serves_as_many_records_as_the_route_says(host):
    counts = [json.loads(host.ask("again", key=b"one").value)["count"] for _ in range(5)]
    assert counts == [1, 2, 3, 1, 2]


def test_a_middleware_without_a_handler_is_refused_and_says_why(host):
    sentence = "imports `wasi:http/handler@0.3.x`, the handler that it wraps, and there is none behind it"
    assert any(sentence in line and "alone" in line for line in host.log().splitlines()), host.log()
    checked = callgate("check", "--config", str(host.config))
    assert checked.returncode == 2 and sentence in checked.stdout, checked
