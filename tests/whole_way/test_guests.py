"""The café in every language, on Kafka: the scenarios that the guests themselves are tested with over plain HTTP."""

import base64
import json
import re

import pytest
from host import REPOSITORY

SCENARIOS = json.loads((REPOSITORY / "guest-examples" / "scenarios.json").read_text())
LANGUAGES = sorted(folder.name.removeprefix("coffee-") for folder in (REPOSITORY / "guest-examples").glob("coffee-*"))


def handler_of(request):
    """A handler for each operation, named after it."""
    return re.sub("[^a-z0-9]+", "-", f"{request['method']} {request['path']}".lower()).strip("-")


@pytest.fixture(scope="module", params=LANGUAGES)
def cafe(request, new_host):
    host = new_host(tenant={"max_memory": "256MiB"})
    for order in {handler_of(scenario["request"]): scenario["request"] for scenario in SCENARIOS}.values():
        host.handler(handler_of(order), f"{order['method']} {order['path']}", f"coffee-{request.param}",
                     retry={"attempts": 1}, deadline="30s")
    return host.start()


def bytes_of(body):
    if "base64" in body:
        return base64.b64decode(body["base64"])
    return body["text"].encode().ljust(body.get("padded_to", 0))


def record_headers(headers):
    """What was encoded for HTTP is bytes in a record."""
    encoded = dict(headers).get("x-kafka-encoded-headers", "").split(",")
    return [(name, base64.b64decode(value) if name in encoded else value.encode())
            for name, value in headers if name != "x-kafka-encoded-headers"]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario["name"] for scenario in SCENARIOS])
def test_scenario(cafe, scenario):
    order, expected = scenario["request"], scenario["response"]
    reply = cafe.ask(handler_of(order), bytes_of(order["body"]), headers=record_headers(order["headers"]))
    assert reply.text("status-code") == str(expected["status"])
    assert json.loads(reply.value) == expected["json"]
    for name, value in expected["headers"]:
        assert reply.text(name) == value
