"""Components around a handler: milk of every language around coffee of every language, and what goes wrong inside."""

import base64
import hashlib
import json
from types import SimpleNamespace

import pytest
from host import GUESTS
from mischief import answer, seen

MILKS = ["milk", "milk-js", "milk-p3"]
COFFEES = ["coffee-rust", "coffee-js", "coffee-python", "coffee-rust-p3"]
ONE_CALL = {"attempts": 1}

FAILURES = [
    # what the inner component does, stage and reason of the dead letter, status of the error reply
    ("trap", "invoke", "trap", 502),
    ("trap-after-response", "invoke", "trap", 502),
    ("allocate", "invoke", "out-of-memory", 502),
    ("no-response", "invoke", "no-response", 502),
    ("large-response", "response", "response-too-large", 502),
    ("sleep", "invoke", "deadline", 504),
    ("spin", "invoke", "deadline", 504),
]


@pytest.fixture(scope="module")
def cafe(new_host):
    host = new_host(tenant={"max_memory": "256MiB"})
    for milk in MILKS:
        for coffee in COFFEES:
            host.handler(f"{milk}-{coffee}", "POST /tables/{table}", coffee, middleware=[milk], deadline="30s")
    host.handler("twice", "POST /tables/{table}", "coffee-rust", middleware=["milk-js", "milk"], deadline="30s")
    return host.start()


@pytest.fixture(scope="module")
def host(new_host):
    host = new_host(tenant={"max_response_body": "64KiB", "max_memory": "32MiB"})
    for what, *_ in FAILURES:
        host.handler(f"caught-{what}", "POST /next", middleware=["mischief"], retry=ONE_CALL, deadline="1s",
                     query={"path": "header:path"})
    host.handler("alone", "POST /outbound", query={"url": "header:url"}, retry=ONE_CALL)
    host.handler("with", "POST /next-with", middleware=["mischief"])
    host.handler("next", "POST /next", middleware=["mischief"], query={"path": "header:path", "times": "header:times"})
    host.handler("thrice", "POST /next", middleware=["mischief"], max_next_calls=3,
                 query={"path": "header:path", "times": "header:times"})
    host.handler("itself", "POST /reply-with", "coffee-rust", middleware=["mischief"])
    host.handler("outer-trap", "POST /next-then-trap", "coffee-rust", middleware=["mischief"], retry=ONE_CALL,
                 query={"path": "header:path"})
    host.handler("behind-milk", "POST /trap", middleware=["milk", "milk"], retry=ONE_CALL)
    return host.start()


def answers(reply):
    return json.loads(reply.value)["answers"]


def to(path, times=None):
    return [("path", path.encode()), *([("times", str(times).encode())] if times else [])]


@pytest.mark.parametrize("coffee", COFFEES)
@pytest.mark.parametrize("milk", MILKS)
def test_milk_is_added_to_coffee_of_every_language(cafe, milk, coffee):
    order = json.dumps({"drink": "caffè latte", "size": "large"}).encode()
    reply = cafe.ask(f"{milk}-{coffee}", order, headers=[("table", b"7"), ("extra", b"cinnamon")])
    assert reply.text("status-code") == "201"
    assert json.loads(reply.value) == {"drink": "caffè latte", "size": "large", "extras": ["cinnamon"],
                                       "ordered_at": "/tables/7", "order_bytes": len(order), "milk": "steamed"}


@pytest.mark.parametrize("milk", MILKS)
def test_what_is_no_coffee_gets_no_milk(cafe, milk):
    reply = cafe.ask(f"{milk}-coffee-rust", b"tea, please", headers=[("table", b"7")])
    assert reply.text("status-code") == "400"
    assert json.loads(reply.value) == {"status": 400, "title": "an order is JSON and names a drink"}


def test_a_handler_has_as_much_middleware_as_it_likes(cafe):
    reply = cafe.ask("twice", b'{"drink": "mocha"}', headers=[("table", b"7")])
    assert json.loads(reply.value)["milk"] == "steamed"


@pytest.mark.parametrize("what, stage, reason, status", FAILURES, ids=[what for what, *_ in FAILURES])
def test_no_middleware_makes_a_200_of_a_failure_further_in(host, what, stage, reason, status):
    request, reply = host.ask_and_keep(f"caught-{what}", headers=to(f"/{what}"))
    assert reply.text("status-code") == str(status)
    letter = host.dead_letter(request)
    assert (letter.text("x-callgate-dlt-stage"), letter.text("x-callgate-dlt-reason")) == (stage, reason)
    assert letter.text("x-callgate-dlt-message").startswith("mischief.wasm: ")


def test_the_dead_letter_names_the_component_that_failed(host):
    request, reply = host.ask_and_keep("behind-milk")
    assert reply.text("status-code") == "502"
    letter = host.dead_letter(request)
    assert letter.text("x-callgate-dlt-message").startswith("mischief.wasm: trapped")
    assert letter.text("x-callgate-dlt-digest") == digest("mischief")


def digest(guest):
    return "sha256:" + hashlib.sha256((GUESTS / f"{guest}.wasm").read_bytes()).hexdigest()


def test_a_middleware_that_fails_is_named_itself(host):
    request, reply = host.ask_and_keep("outer-trap", headers=to("/tables/1"))
    assert reply.text("status-code") == "502"
    letter = host.dead_letter(request)
    assert letter.text("x-callgate-dlt-message").startswith("mischief.wasm: trapped")
    assert letter.text("x-callgate-dlt-digest") == digest("mischief")


def test_the_inner_component_gets_what_the_outer_one_sends_and_is_told_of_the_record(host):
    sent = {"method": "PUT", "path": "/echo/1?a=b", "body": base64.b64encode(bytes(range(256))).decode(),
            "headers": [["x-own", "b25l"], ["x-kafka-topic", "c2hvcA=="], ["x-kafka-key", "eA=="]]}
    request, reply = host.ask_and_keep("with", json.dumps(sent).encode(), key=b"17")
    told = answers(reply)[0]
    assert told["status"] == 200
    inner = seen(SimpleNamespace(value=base64.b64decode(told["body"])))
    assert (inner.method, inner.path, inner.authority, inner.body) == ("PUT", "/echo/1?a=b", "with", bytes(range(256)))
    assert inner.header("x-own") == b"one"
    assert inner.header("x-kafka-topic") == request.topic.encode()
    assert inner.header("x-kafka-key") == b"17"
    assert inner.header("x-kafka-offset") == str(request.offset).encode()
    assert "reply-to" not in inner.names


def test_a_middleware_calls_on_as_often_as_it_may(host):
    once = answers(host.ask("next", headers=to("/status/204", 3)))
    assert once[0]["status"] == 204
    assert all("error" in each for each in once[1:])
    assert [each["status"] for each in answers(host.ask("thrice", headers=to("/status/204", 3)))] == [204] * 3


def test_a_middleware_may_answer_itself(host):
    reply = host.ask("itself", answer(403, body=b"not today"))
    assert (reply.text("status-code"), reply.value) == ("403", b"not today")


def test_without_a_next_one_the_name_is_refused(host):
    reply = host.ask("alone", headers=[("url", b"http://next.callgate.internal/echo")])
    assert "HttpRequestDenied" in json.loads(reply.value)["error"]
