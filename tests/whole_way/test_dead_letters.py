"""What a dead letter holds, in the words of Callgate, of Kafka Connect and of Spring."""

import hashlib
import re
import struct
import time

import pytest
from confluent_kafka import Producer
from host import GUESTS
from mischief import answer

BINARY = bytes(range(256))
HEADERS = [("b", b"1"), ("A", BINARY), ("b", None), ("empty", b""), ("zilla:x", b"2")]
NO_RETRY = {"attempts": 1}


def make(new_host, **tenant):
    host = new_host(tenant=tenant)
    host.handler("status", "POST /status/{code}", path={"code": "header:code"}, retry=NO_RETRY, partitions=3)
    host.handler("trap", "POST /trap", retry={"attempts": 2, "backoff": "10ms"}, partitions=3)
    host.handler("reply", "POST /reply-with", retry=NO_RETRY)
    return host.start()


@pytest.fixture(scope="module")
def host(new_host):
    return make(new_host)


@pytest.fixture(scope="module")
def connect(new_host):
    return make(new_host, dead_letter_headers="connect")


@pytest.fixture(scope="module")
def spring(new_host):
    return make(new_host, dead_letter_headers="spring")


def the_dead_letter(host, request, topic=None):
    """By its headers of the record, whatever set of headers was added."""
    mine = request.headers[0]
    letter = host.kafka.log(topic or f"{request.topic}-dlt").find(lambda record: mine in record.headers)
    assert (letter.key, letter.value) == (request.key, request.value)
    assert letter.headers[:len(request.headers)] == request.headers
    return letter, dict(letter.headers[len(request.headers):])


def fail(host, handler="trap", value=BINARY, key=BINARY, headers=(), partition=2):
    marker = ("marker", struct.pack(">Q", time.time_ns()))
    return host.send(handler, value, key, [marker, *HEADERS, *headers], partition)


# Callgate's own words


def test_callgate_after_a_trap(host):
    request = fail(host)
    _, added = the_dead_letter(host, request)
    digest = hashlib.sha256((GUESTS / "mischief.wasm").read_bytes()).hexdigest()
    free_text = {name: added.pop(name) for name in ("x-callgate-dlt-message", "x-callgate-dlt-trap")}
    assert added == {
        "x-callgate-dlt-topic": request.topic.encode(),
        "x-callgate-dlt-partition": b"2",
        "x-callgate-dlt-offset": str(request.offset).encode(),
        "x-callgate-dlt-timestamp": str(request.timestamp).encode(),
        "x-callgate-dlt-group": host.group.encode(),
        "x-callgate-dlt-tenant": host.tenant.encode(),
        "x-callgate-dlt-handler": b"trap",
        "x-callgate-dlt-digest": f"sha256:{digest}".encode(),
        "x-callgate-dlt-attempts": b"2",
        "x-callgate-dlt-stage": b"invoke",
        "x-callgate-dlt-reason": b"trap",
    }
    assert all(free_text.values())


def test_callgate_after_a_status(host):
    _, added = the_dead_letter(host, fail(host, "status", headers=[("code", b"503")]))
    assert added["x-callgate-dlt-status"] == b"503"
    assert (added["x-callgate-dlt-stage"], added["x-callgate-dlt-reason"]) == (b"response", b"status")
    assert added["x-callgate-dlt-attempts"] == b"1"
    assert "x-callgate-dlt-trap" not in added


def test_callgate_before_any_call(host):
    _, added = the_dead_letter(host, fail(host, "status"))
    assert (added["x-callgate-dlt-stage"], added["x-callgate-dlt-reason"]) == (b"request", b"invalid-request")
    assert added["x-callgate-dlt-attempts"] == b"0"
    assert b"code" in added["x-callgate-dlt-message"], "it says which header it misses"
    assert "x-callgate-dlt-status" not in added


# Kafka Connect's


def test_connect(connect):
    request = fail(connect)
    _, added = the_dead_letter(connect, request)
    assert set(added) == {f"__connect.errors.{name}" for name in (
        "topic", "partition", "offset", "connector.name", "task.id", "stage", "class.name", "exception.class.name",
        "exception.message", "exception.stacktrace")}
    assert added["__connect.errors.topic"] == request.topic.encode()
    assert added["__connect.errors.partition"] == b"2"
    assert added["__connect.errors.offset"] == str(request.offset).encode()
    assert added["__connect.errors.stage"] == b"TASK_PUT"
    assert added["__connect.errors.exception.class.name"] == b"callgate.trap"
    assert added["__connect.errors.exception.message"]
    assert re.fullmatch(rb"\d+", added["__connect.errors.task.id"])


def test_connect_after_a_status(connect):
    _, added = the_dead_letter(connect, fail(connect, "status", headers=[("code", b"500")]))
    assert added["__connect.errors.exception.class.name"] == b"callgate.status"
    assert b"500" in added["__connect.errors.exception.message"]


# Spring's


def test_spring(spring):
    request = fail(spring)
    _, added = the_dead_letter(spring, request)
    assert set(added) - {"kafka_dlt-exception-cause-fqcn"} == {f"kafka_dlt-{name}" for name in (
        "original-topic", "original-partition", "original-offset", "original-timestamp", "original-timestamp-type",
        "original-consumer-group", "exception-fqcn", "exception-message", "exception-stacktrace")}
    assert added["kafka_dlt-original-topic"] == request.topic.encode()
    assert added["kafka_dlt-original-partition"] == struct.pack(">i", 2)
    assert added["kafka_dlt-original-offset"] == struct.pack(">q", request.offset)
    assert added["kafka_dlt-original-timestamp"] == struct.pack(">q", request.timestamp)
    assert added["kafka_dlt-original-timestamp-type"] == b"CreateTime"
    assert added["kafka_dlt-original-consumer-group"] == spring.group.encode()
    assert added["kafka_dlt-exception-fqcn"] == b"callgate.trap"
    assert added["kafka_dlt-exception-message"]


# The record in it


@pytest.mark.parametrize("key, value", [(None, None), (b"", b""), (b"key", None), (None, BINARY * 1000)],
                         ids=["nulls", "empty", "tombstone", "large"])
def test_key_value_and_headers_are_kept(host, key, value):
    the_dead_letter(host, fail(host, key=key, value=value))


def test_headers_that_look_like_ours_are_kept_in_front(host):
    forged = [("x-callgate-dlt-topic", b"forged"), ("x-callgate-dlt-reason", b"forged")]
    letter, added = the_dead_letter(host, fail(host, headers=forged))
    assert added["x-callgate-dlt-reason"] == b"trap"
    assert letter.all("x-callgate-dlt-reason") == [b"forged", b"trap"]


@pytest.mark.parametrize("partition", range(3))
def test_the_partition_is_kept(host, partition):
    letter, _ = the_dead_letter(host, fail(host, partition=partition))
    assert letter.partition == partition
    assert host.kafka.partitions(letter.topic) == [0, 1, 2], "made with as many as the source has"


def test_the_timestamp_is_now(host):
    before = host.kafka.send_all(host.topic("trap"), [{"headers": [("marker", b"old")], "partition": 0,
                                                       "timestamp": 1_500_000_000_000}])[0]
    began = time.time() * 1000
    letter, added = the_dead_letter(host, before)
    assert letter.timestamp >= began - 60_000
    assert added["x-callgate-dlt-timestamp"] == b"1500000000000"


def test_the_timestamp_may_be_kept(new_host):
    host = make(new_host, dead_letter_timestamp="original")
    request = host.kafka.send_all(host.topic("trap"), [{"headers": [("marker", b"old")], "partition": 0,
                                                        "timestamp": int(time.time() * 1000) - 5_000_000}])[0]
    letter, _ = the_dead_letter(host, request)
    assert letter.timestamp == request.timestamp


def test_one_topic_for_a_tenant(new_host):
    host = new_host()
    topic = host.topic("dlt")
    host.configure(tenant={"dead_letter_topic": topic})
    host.handler("trap", "POST /trap", retry=NO_RETRY, partitions=3)
    host.handler("panic", "POST /panic", retry=NO_RETRY)
    host.kafka.create(topic, partitions=2)
    host.start()
    for partition in (0, 1):
        letter, _ = the_dead_letter(host, fail(host, partition=partition), topic)
        assert letter.partition == partition
    _, added = the_dead_letter(host, fail(host, "panic", partition=0), topic)
    assert added["x-callgate-dlt-handler"] == b"panic"
    by_key = {the_dead_letter(host, fail(host, partition=2, key=b"same"), topic)[0].partition for _ in range(5)}
    assert len(by_key) == 1, "where there is no such partition, the key decides"
    assert f"{host.topic('trap')}-dlt" not in host.kafka.topics()


def test_secrets_are_redacted(new_host):
    host = make(new_host, redact_headers=["authorization", "cookie"])
    request = host.send("trap", headers=[("marker", b"m"), ("Authorization", b"Bearer secret-one"),
                                         ("cookie", b"secret-two"), ("cookie", b"secret-three"), ("plain", b"kept")])
    letter = host.dead_letter(request)
    assert not [value for _, value in letter.headers if value and b"secret" in value]
    assert [name.lower() for name, _ in letter.headers].count("cookie") == 2, "that it was there is still told"
    assert letter.header("plain") == b"kept"
    assert "secret" not in host.log()


def test_a_letter_too_large_for_its_topic_sheds_what_was_added_first(new_host):
    host = new_host()
    host.handler("trap", "POST /trap", retry=NO_RETRY)
    host.kafka.create(f"{host.topic('trap')}-dlt", max_message_bytes=4096)
    host.start()
    request = fail(host, value=b"x" * 3000, key=b"k", partition=0)
    the_dead_letter(host, request)


# A topic that is not there


def test_a_missing_dead_letter_topic_stops_its_partition_only(new_host):
    host = make(new_host, create_dead_letter_topic=False)
    beside = host.ask("reply", answer())
    assert beside.text("status-code") == "200"
    stuck = fail(host)
    behind = fail(host)
    host.until(lambda: host.topic("trap") in host.get("/readyz")[1], "does not name the stopped partition")
    assert host.ask("reply", answer()).text("status-code") == "200"
    assert host.kafka.committed(host.group, stuck.topic)[2] <= stuck.offset
    host.kafka.create(f"{stuck.topic}-dlt", partitions=3)
    for record in (stuck, behind):
        the_dead_letter(host, record)
        host.await_end(record)
    host.until(host.is_ready, "is not ready again")


def test_a_record_that_was_small_only_compressed_becomes_a_dead_letter(host):
    """It passes a source topic of 1 MiB, and would not pass a dead-letter topic of the same size."""
    producer = Producer({**host.kafka.settings, "compression.type": "gzip", "message.max.bytes": 100_000_000})
    marker = ("marker", struct.pack(">Q", time.time_ns()))
    producer.produce(host.topic("trap"), b"\0" * 5_000_000, headers=[marker], partition=1)
    assert producer.flush(60) == 0
    letter = host.kafka.log(f"{host.topic('trap')}-dlt").find(lambda record: marker in record.headers)
    assert len(letter.value) == 5_000_000
