"""What goes in comes out byte for byte, whatever the bytes: records made at random, each run from another seed."""

import base64
import os
import random
import re
import uuid
from urllib.parse import unquote_to_bytes

import pytest
from mischief import answer, seen

SEED = int(os.environ.get("CALLGATE_TEST_SEED", random.randrange(1 << 32)))
ROUNDS = 150

PLAIN = bytes(range(0x21, 0x7F))
ANY = bytes(range(256))


@pytest.fixture(scope="module")
def host(new_host):
    host = new_host()
    host.handler("echo", "POST /echo", partitions=3)
    host.handler("reply", "POST /reply-with", partitions=3)
    return host.start()


@pytest.fixture
def chance(request):
    """CALLGATE_TEST_SEED=.. makes the same records again."""
    print(f"CALLGATE_TEST_SEED={SEED}")
    return random.Random(f"{SEED} {request.node.name}")


def some_bytes(chance, alphabets=(PLAIN, ANY, b" \t", b"\0\r\n")):
    return bytes(chance.choices(chance.choice(alphabets), k=chance.choice((0, 1, 2, 7, 40))))


def some_name(chance):
    """Never one that means something: those have tests of their own."""
    letters = "".join(chance.choices("abcXYZ019 :%é-_.~/\\\"(\t\x01☕", k=chance.randrange(1, 12)))
    return f"n{letters}"


def some_headers(chance):
    names = [some_name(chance) for _ in range(chance.randrange(6))]
    return [(chance.choice(names), None if chance.random() < 0.15 else some_bytes(chance))
            for _ in range(chance.randrange(12) if names else 0)]


def lowercase(name):
    return re.sub("[A-Z]", lambda letter: letter[0].lower(), name)


def grouped(headers):
    """Order among names by first occurrence, and within one name: what a request keeps."""
    values = {}
    for name, value in headers:
        values.setdefault(lowercase(name), []).append(value)
    return values


def restored(request):
    """The record headers that a request stands for, read as the contract says."""
    marks = {}
    for mark in (request.header("x-kafka-encoded-headers") or b"").decode().split(","):
        name, _, null = mark.strip().partition(";null")
        places = {int(place) for place in null[1:].split(".")} if null[1:] else {0} if ";null" in mark else set()
        marks[name] = places
    values = {}
    for name in request.names:
        if name.startswith("x-kafka-") or name in ("content-length", "reply-to", "correlation-id", "traceparent"):
            continue
        carried = request.all(name)
        if name in marks:
            carried = [None if place in marks[name] else base64.b64decode(value, validate=True)
                       for place, value in enumerate(carried)]
        values[unquote_to_bytes(name).decode()] = carried
    return values


def test_records_reach_the_handler_byte_for_byte(host, chance):
    records = [{"value": None if chance.random() < 0.1 else some_bytes(chance), "key": some_bytes(chance),
                "headers": some_headers(chance)} for _ in range(ROUNDS)]
    correlations = [uuid.uuid4().hex.encode() for _ in records]
    address = ("reply-to", host.replies.encode())
    host.kafka.send_all(host.topic("echo"), [
        {**record, "headers": [*record["headers"], address, ("correlation-id", correlation)]}
        for record, correlation in zip(records, correlations)])
    for record, correlation in zip(records, correlations):
        request = seen(host.reply(correlation))
        assert request.body == (record["value"] or b"")
        assert (request.header("x-kafka-tombstone") == b"true") == (record["value"] is None)
        key = request.header("x-kafka-key")
        assert (base64.b64decode(key) if request.header("x-kafka-key-encoding") else key) == record["key"]
        assert list(restored(request).items()) == list(grouped(record["headers"]).items())


def test_responses_reach_the_requester_byte_for_byte(host, chance):
    bodies = [some_bytes(chance) * chance.choice((1, 1, 1, 500)) for _ in range(ROUNDS)]
    headers = [[(f"h{n}", some_bytes(chance)) for n in range(chance.randrange(5))] for _ in bodies]
    correlations = [some_bytes(chance, [ANY]) + uuid.uuid4().bytes for _ in bodies]
    host.kafka.send_all(host.topic("reply"), [
        {"value": answer(200, [*((name, base64.b64encode(value)) for name, value in carried),
                               ("x-kafka-encoded-headers", ", ".join(name for name, _ in carried).encode())], body),
         "key": some_bytes(chance),
         "headers": [("reply-to", host.replies.encode()), ("correlation-id", correlation)]}
        for body, carried, correlation in zip(bodies, headers, correlations)])
    for body, carried, correlation in zip(bodies, headers, correlations):
        reply = host.reply(correlation)
        assert reply.value == body
        assert sorted(header for header in reply.headers if header[0].startswith("h")) == sorted(carried)
