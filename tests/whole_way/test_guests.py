"""The café in every language, on Kafka, with milk and without: the scenarios that the guests themselves are tested with
over plain HTTP."""

import base64
import json
import re

import pytest
from host import REPOSITORY

SCENARIOS = json.loads((REPOSITORY / "guest-examples" / "scenarios.json").read_text())
EXAMPLES = REPOSITORY / "guest-examples"
COFFEES = sorted(folder.name for folder in EXAMPLES.glob("coffee-*"))
MILKS = sorted(folder.name for folder in EXAMPLES.glob("milk*"))
CAFES = [(coffee, []) for coffee in COFFEES] + [("coffee-rust", [milk]) for milk in MILKS]


def handler_of(request):
    """A handler for each operation, named after it."""
    return re.sub("[^a-z0-9]+", "-", f"{request['method']} {request['path']}".lower()).strip("-")


@pytest.fixture(scope="module", params=CAFES, ids=["-in-".join([coffee, *milk]) for coffee, milk in CAFES])
def cafe(request, new_host):
    (coffee, milk), host = request.param, new_host(tenant={"max_memory": "256MiB"})
    for order in {handler_of(scenario["request"]): scenario["request"] for scenario in SCENARIOS}.values():
        host.handler(handler_of(order), f"{order['method']} {order['path']}", coffee,
                     middleware=milk, retry={"attempts": 1}, deadline="30s")
    return host.start(), {"milk": "steamed"} if milk else {}


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
    (host, extra), order, expected = cafe, scenario["request"], scenario["response"]
    reply = host.ask(handler_of(order), bytes_of(order["body"]), headers=record_headers(order["headers"]))
    assert reply.text("status-code") == str(expected["status"])
    # What is no coffee gets no milk.
    assert json.loads(reply.value) == {**expected["json"], **(extra if expected["status"] == 201 else {})}
    for name, value in expected["headers"]:
        assert reply.text(name) == value
