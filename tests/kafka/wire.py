"""Some requests of Kafka's protocol, byte by byte: where a client would do too much, or reads what is not there."""

import socket
import struct
from contextlib import suppress

OFFSET_FETCH, FIND_COORDINATOR, METADATA = 9, 10, 3
GROUP, TRANSACTION = 0, 1
TIMEOUT = 5


class NoAnswer(Exception):
    """The broker is away, or cannot say now."""


def exchange(address, api, version, body, timeout=2):
    """One request and its answer, after size and correlation id."""
    header = struct.pack(">hhih", api, version, 1, -1)
    try:
        with socket.create_connection(address, timeout=timeout) as connection, connection.makefile("rb") as answers:
            connection.sendall(struct.pack(">i", len(header + body)) + header + body)
            return answers.read(struct.unpack(">i", answers.read(4))[0])[4:]
    except (OSError, struct.error) as error:
        raise NoAnswer(str(error)) from error


class Answer:
    """Reads values from an answer, one after another."""

    def __init__(self, data):
        self._data = data
        self._at = 0

    def number(self, form):
        try:
            [value] = struct.unpack_from(f">{form}", self._data, self._at)
        except struct.error as error:
            raise NoAnswer("the answer is cut off") from error
        self._at += struct.calcsize(form)
        return value

    def text(self):
        length = self.number("h")
        if length < 0:
            return None
        self._at += length
        return self._data[self._at - length:self._at].decode()

    def no_error(self):
        if code := self.number("h"):
            raise NoAnswer(f"error {code}")


def text(value):
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


def coordinator(address, name, kind=GROUP):
    """Where the coordinator of that name is. The first question makes the internal topic behind it."""
    answer = Answer(exchange(address, FIND_COORDINATOR, 1, text(name) + struct.pack(">b", kind)))
    answer.number("i")
    answer.no_error()
    answer.text(), answer.number("i")
    return answer.text(), answer.number("i")


def commits(bootstrap, group, topic):
    """Offset and metadata that a group has committed for each partition of a topic that it has committed anything for."""
    for address in bootstrap.split(","):
        with suppress(NoAnswer):
            host, _, port = address.rpartition(":")
            return fetch_offsets(coordinator((host, int(port)), group), group, topic)
    raise NoAnswer(f"no coordinator says what {group} has committed")


def fetch_offsets(address, group, topic):
    # Without topics: all there are.
    answer = Answer(exchange(address, OFFSET_FETCH, 2, text(group) + struct.pack(">i", -1), TIMEOUT))
    found = {}
    for _ in range(answer.number("i")):
        name = answer.text()
        for _ in range(answer.number("i")):
            partition, offset, metadata = answer.number("i"), answer.number("q"), answer.text()
            answer.no_error()
            if name == topic:
                found[partition] = offset, metadata
    answer.no_error()
    return found
