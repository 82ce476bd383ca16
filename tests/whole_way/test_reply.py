"""How a response becomes a reply: where it goes, and what it carries."""

import base64
import json
import struct
import time
import uuid

import pytest
from kafka.partitioner import java_partition
from mischief import answer

BINARY = bytes(range(256))
PARTITIONS = 7


@pytest.fixture(scope="module")
def host(new_host):
    host = new_host(tenant={"max_hops": 16})
    host.handler("reply", "POST /reply-with")
    host.handler("large", "POST /large-response", query={"bytes": "header:bytes"})
    host.handler("fixed", "POST /reply-with", reply_to=host.replies)
    host.handler("strict", "POST /reply-with", without_reply_to="skip")
    host.kafka.create(host.topic("many"), partitions=PARTITIONS)
    host.kafka.create(host.topic("small"), max_message_bytes=2048)
    host.kafka.create(f"elsewhere-{host.tenant}.replies")
    return host.start()


def send(host, headers, value=None, handler="reply"):
    """A record with these headers as they are; its correlation identifier is returned beside it."""
    correlation = uuid.uuid4().hex.encode()
    value = answer() if value is None else value
    return host.send(handler, value, headers=[("correlation-id", correlation), *headers]), correlation


# The return address


@pytest.mark.parametrize("name", ["reply-to", "kafka_replyTopic", "zilla:reply-to", "Reply-To", "KAFKA_REPLYTOPIC"])
def test_return_addresses_of_others(host, name):
    _, correlation = send(host, [(name, host.replies.encode())])
    assert host.reply(correlation).text("status-code") == "200"


@pytest.mark.parametrize("names", [
    ["reply-to", "kafka_replyTopic"], ["reply-to", "zilla:reply-to"], ["kafka_replyTopic", "zilla:reply-to"],
])
@pytest.mark.parametrize("turned", [False, True])
def test_the_first_of_the_list_is_the_address(host, names, turned):
    headers = [(names[0], host.replies.encode()), (names[1], host.topic("many").encode())]
    _, correlation = send(host, headers[::-1] if turned else headers)
    assert host.reply(correlation)


def test_the_last_of_a_name_is_the_address(host):
    _, correlation = send(host, [("reply-to", host.topic("many").encode()), ("Reply-To", host.replies.encode())])
    assert host.reply(correlation)


def test_an_operator_may_name_other_headers(new_host):
    host = new_host(kafka={"return_address_headers": ["answer-me-at"], "correlation_headers": ["order-number"]})
    host.handler("reply", "POST /reply-with")
    host.start()
    request = host.send("reply", answer(body=b"yes"), headers=[
        ("reply-to", b"nobody.reads"), ("correlation-id", b"1"), ("answer-me-at", host.replies.encode()),
        ("order-number", b"2")])
    [reply] = host.kafka.log(host.replies).at_least(1)
    assert (reply.value, reply.header("order-number"), reply.header("correlation-id")) == (b"yes", b"2", None)
    assert not host.has_dead_letters(request)


def assert_refused(host, request, stage, reason):
    """Nothing was called, and nothing but the dead letter tells of it."""
    letter = host.dead_letter(request)
    assert letter.text("x-callgate-dlt-stage") == stage
    assert letter.text("x-callgate-dlt-reason") == reason
    assert letter.text("x-callgate-dlt-attempts") == "0"


@pytest.mark.parametrize("value", [b"", None, b"\xff\xfe"], ids=["empty", "null", "not UTF-8"])
@pytest.mark.parametrize("name", ["reply-to", "kafka_replyTopic", "zilla:reply-to"])
def test_a_malformed_address_is_invalid(host, name, value):
    request, _ = send(host, [(name, value)])
    assert_refused(host, request, "request", "invalid-request")


@pytest.mark.parametrize("address", [
    "elsewhere-{tenant}.replies", "{tenant}", "{tenant}x.replies", "{topic}", "__consumer_offsets",
    "__transaction_state", "{tenant}.a/b", "{tenant}.a b", "..", "{tenant}." + "x" * 250, "{tenant}.é", "{topic}-dlt",
])
def test_who_may_not_be_addressed(host, address):
    address = address.format(tenant=host.tenant, topic=host.topic("reply"))
    request, _ = send(host, [("reply-to", address.encode())])
    assert_refused(host, request, "reply", "reply-refused")


def test_nothing_is_produced_where_it_is_refused(host):
    elsewhere = f"elsewhere-{host.tenant}.replies"
    request, _ = send(host, [("reply-to", elsewhere.encode())])
    host.await_end(request)
    assert host.kafka.log(elsewhere).all() == []


def test_no_topic_is_made_by_a_return_address(host):
    topic = host.topic("nobody-made-this")
    request, _ = send(host, [("reply-to", topic.encode())])
    letter = host.dead_letter(request)
    assert (letter.text("x-callgate-dlt-stage"), letter.text("x-callgate-dlt-reason")) == ("reply", "reply-failed")
    assert topic not in host.kafka.topics()


def test_allow_lists_hold_exact_names_and_prefixes(new_host):
    host = new_host()
    exact, prefix = f"exact-{host.tenant}", f"prefix-{host.tenant}."
    host.configure(tenant={"reply_topics": [exact, f"{prefix}*"]})
    host.handler("reply", "POST /reply-with")
    host.kafka.create(exact, f"{exact}-not", f"{prefix}one")
    host.start()
    for topic in (exact, f"{prefix}one"):
        _, correlation = send(host, [("reply-to", topic.encode())])
        assert host.reply(correlation, topic)
    for topic in (f"{exact}-not", host.replies, prefix[:-1]):
        request, _ = send(host, [("reply-to", topic.encode())])
        assert_refused(host, request, "reply", "reply-refused")


def test_a_route_may_fix_the_address(host):
    _, correlation = send(host, [], handler="fixed")
    assert host.reply(correlation).text("status-code") == "200"
    _, correlation = send(host, [("reply-to", host.topic("many").encode())], handler="fixed")
    assert host.reply(correlation, host.topic("many"))


def test_without_an_address_the_handler_is_called_and_the_response_dropped(host):
    before = len(host.kafka.log(host.replies).all())
    request, _ = send(host, [])
    host.await_end(request)
    assert len(host.kafka.log(host.replies).all()) == before
    refused, _ = send(host, [], answer(404))
    assert host.dead_letter(refused).text("x-callgate-dlt-status") == "404", "it is called"


def test_without_an_address_the_stricter_rule_calls_nobody(host):
    request, _ = send(host, [], answer(404), handler="strict")
    host.await_end(request)
    assert not host.has_dead_letters(request)


# The partition


@pytest.mark.parametrize("partition", range(PARTITIONS))
def test_a_requester_may_name_the_partition(host, partition):
    _, correlation = send(host, [("kafka_replyTopic", host.topic("many").encode()),
                                 ("kafka_replyPartition", struct.pack(">i", partition))])
    assert host.reply(correlation, host.topic("many")).partition == partition


@pytest.mark.parametrize("value", [
    struct.pack(">i", PARTITIONS), struct.pack(">i", -1), b"", b"\0\0\1", b"\0\0\0\0\0", b"1", None,
])
def test_a_partition_that_is_none_is_invalid(host, value):
    request, _ = send(host, [("kafka_replyTopic", host.topic("many").encode()), ("kafka_replyPartition", value)])
    assert_refused(host, request, "request", "invalid-request")


@pytest.mark.parametrize("key", [b"", b"a", b"ab", b"abc", b"abcd", b"abcde", b"order-7", "é".encode(), BINARY])
def test_a_key_goes_where_java_would_send_it(host, key):
    reply = host.ask("reply", answer(), key=key, reply_to=host.topic("many"))
    assert reply.partition == java_partition(key, PARTITIONS)


# Correlation


@pytest.mark.parametrize("name", ["correlation-id", "kafka_correlationId", "zilla:correlation-id", "correlationid",
                                  "Correlation-ID", "KAFKA_correlationid"])
@pytest.mark.parametrize("value", [b"7f", BINARY, b"", b" spaces ", b"line\n"],
                         ids=["text", "binary", "empty", "spaces", "line"])
def test_correlation_comes_back_byte_for_byte(host, name, value):
    marker = uuid.uuid4().hex.encode()
    host.send("reply", answer(headers=[("marker", marker)]), headers=[("reply-to", host.replies.encode()),
                                                                      (name, value)])
    reply = host.kafka.log(host.replies).find(lambda record: record.header("marker") == marker)
    assert reply.header(name) == value


def test_all_correlations_come_back(host):
    marker = uuid.uuid4().hex.encode()
    correlations = [("correlation-id", marker), ("kafka_correlationId", b"\0\1"), ("zilla:correlation-id", b"3"),
                    ("correlationid", b"4")]
    host.send("reply", answer(), headers=[("reply-to", host.replies.encode()), *correlations])
    reply = host.reply(marker)
    assert sorted(header for header in reply.headers if header[0] in dict(correlations)) == sorted(correlations)


# What the reply carries


def test_the_reply_record(host):
    began = int(time.time() * 1000)
    request, reply = host.ask_and_keep("reply", answer(201, [("content-type", b"text/plain"), ("b", b"1"), ("a", b"2"),
                                                             ("b", b"3")], b"body"), key=b"key")
    assert (reply.key, reply.value) == (b"key", b"body")
    assert reply.headers[0] == ("status-code", b"201")
    assert reply.headers[-2:] == [("correlation-id", request.header("correlation-id")), ("x-callgate-hops", b"1")]
    response = reply.headers[1:-2]
    assert [header for header in response if header[0] == "b"] == [("b", b"1"), ("b", b"3")]
    assert sorted(response) == [("a", b"2"), ("b", b"1"), ("b", b"3"), ("content-type", b"text/plain")]
    assert began - 1000 <= reply.timestamp <= int(time.time() * 1000) + 1000


@pytest.mark.parametrize("key", [None, b"", b"text", BINARY])
def test_the_key_is_that_of_the_request(host, key):
    assert host.ask("reply", answer(), key=key).key == key


@pytest.mark.parametrize("body", [b"", b"text", BINARY, BINARY * 2000], ids=["empty", "text", "binary", "large"])
def test_the_value_is_the_whole_body(host, body):
    assert host.ask("reply", answer(body=body)).value == body


def test_zilla_reads_its_own_status(host):
    _, correlation = send(host, [("zilla:reply-to", host.replies.encode())], answer(202))
    reply = host.reply(correlation)
    assert reply.headers[0] == ("status-code", b"202")
    assert reply.header(":status") == b"202"
    _, correlation = send(host, [("reply-to", host.replies.encode())], answer(202))
    assert host.reply(correlation).header(":status") is None


@pytest.mark.parametrize("headers, key", [
    ([("x-kafka-key", b"other")], b"other"),
    ([("x-kafka-key", b"")], b""),
    ([("x-kafka-key", base64.b64encode(BINARY)), ("x-kafka-key-encoding", b"base64")], BINARY),
])
def test_a_response_may_set_the_key(host, headers, key):
    reply = host.ask("reply", answer(headers=headers), key=b"key", reply_to=host.topic("many"))
    assert (reply.key, reply.partition) == (key, java_partition(key, PARTITIONS))
    assert not [name for name, _ in reply.headers if name.startswith("x-kafka-")]


def test_a_response_may_be_a_tombstone(host):
    reply = host.ask("reply", answer(headers=[("x-kafka-tombstone", b"true")]), key=b"key")
    assert (reply.key, reply.value) == (b"key", None)
    assert reply.all("x-kafka-tombstone") == []


@pytest.mark.parametrize("headers, mark, carried", [
    ([("bytes", base64.b64encode(BINARY))], b"bytes", [("bytes", BINARY)]),
    ([("gone", b"")], b"gone;null", [("gone", None)]),
    ([("n", b""), ("n", b"eA=="), ("n", b"")], b"n;null=0.2", [("n", None), ("n", b"x"), ("n", None)]),
    ([("a", b"AA=="), ("b", b"")], b"a, b;null", [("a", b"\0"), ("b", None)]),
])
def test_a_response_may_carry_what_http_cannot(host, headers, mark, carried):
    reply = host.ask("reply", answer(headers=[*headers, ("x-kafka-encoded-headers", mark)]))
    names = [name for name, _ in carried]
    assert [header for header in reply.headers if header[0] in names] == carried
    assert reply.all("x-kafka-encoded-headers") == []


@pytest.mark.parametrize("headers", [
    [("x-kafka-key", b"not base64!"), ("x-kafka-key-encoding", b"base64")],
    [("a", b"not base64!"), ("x-kafka-encoded-headers", b"a")],
])
def test_an_encoding_that_does_not_hold_is_an_invalid_response(host, headers):
    request, reply = host.ask_and_keep("reply", answer(headers=headers))
    assert host.dead_letter(request).text("x-callgate-dlt-reason") == "invalid-response"
    assert reply.text("status-code") == "502"


@pytest.mark.parametrize("header", [
    ("status-code", b"999"), ("correlation-id", b"forged"), ("kafka_correlationId", b"forged"),
    ("x-callgate-hops", b"0"), ("x-callgate-dlt-reason", b"forged"), ("content-length", b"0"),
])
def test_what_the_host_says_a_response_cannot(host, header):
    reply = host.ask("reply", answer(headers=[header, ("beside", b"kept")]))
    assert header not in reply.headers
    assert reply.header("beside") == b"kept"
    assert reply.header("status-code") == b"200"


def test_cloudevents_come_back_as_record_headers(host):
    reply = host.ask("reply", answer(headers=[("ce-id", b"7"), ("ce-subject", b"Euro%20%E2%82%AC"),
                                              ("content-type", b"application/json")]))
    assert (reply.header("ce_id"), reply.text("ce_subject")) == (b"7", "Euro €")
    assert reply.header("content-type") == b"application/json"
    assert not [name for name, _ in reply.headers if name.startswith("ce-")]


def test_the_trace_goes_back(host):
    trace = b"4bf92f3577b34da6a3ce929d0e0e4736"
    reply = host.ask("reply", answer(), headers=[("traceparent", b"00-" + trace + b"-00f067aa0ba902b7-01")])
    assert reply.header("traceparent").split(b"-")[1] == trace


# Hops


@pytest.mark.parametrize("before, after", [(None, b"1"), (b"1", b"2"), (b"15", b"16")])
def test_hops_are_counted(host, before, after):
    headers = [] if before is None else [("x-callgate-hops", before)]
    assert host.ask("reply", answer(), headers=headers).header("x-callgate-hops") == after


@pytest.mark.parametrize("hops", [b"17", b"many", b"-1", b"", b"99999999999999999999"])
def test_a_loop_ends(host, hops):
    request, correlation = send(host, [("reply-to", host.replies.encode()), ("x-callgate-hops", hops)])
    assert_refused(host, request, "request", "too-many-hops")
    after = host.ask("reply", answer())
    assert not [reply for reply in host.kafka.log(host.replies).records if correlation in reply.all("correlation-id")]
    assert after.text("status-code") == "200"


# Too large


def test_a_reply_that_is_too_large_is_answered_by_a_small_one(host):
    request, reply = host.ask_and_keep("large", headers=[("bytes", b"100000")], reply_to=host.topic("small"))
    letter = host.dead_letter(request)
    assert (letter.text("x-callgate-dlt-stage"), letter.text("x-callgate-dlt-reason")) == ("reply", "reply-too-large")
    assert letter.text("x-callgate-dlt-attempts") == "1", "there is no second call"
    assert (reply.text("status-code"), reply.text("content-type")) == ("500", "application/problem+json")
    assert json.loads(reply.value)["status"] == 500


def test_a_topic_that_takes_small_batches_only_gets_all_its_replies(host):
    """Each fits, and many together do not."""
    topic, count = host.topic("small-batches"), 1000
    host.kafka.create(topic, max_message_bytes=5_000)
    host.kafka.send_all(host.topic("large"), [
        {"headers": [("reply-to", topic.encode()), ("correlation-id", b"%d" % number), ("bytes", b"1000")]}
        for number in range(count)])
    statuses = {int(reply.text("correlation-id")): reply.text("status-code")
                for reply in host.kafka.log(topic).at_least(count)}
    assert statuses == dict.fromkeys(range(count), "200")


def test_neighbours_of_a_reply_that_is_too_large_do_not_suffer(host):
    small = host.topic("small")
    correlations = [f"{host.tenant}-{n}".encode() for n in range(60)]
    host.kafka.send_all(host.topic("large"), [
        {"headers": [("reply-to", small.encode()), ("correlation-id", correlation),
                     ("bytes", b"100000" if n % 10 == 5 else b"100")]}
        for n, correlation in enumerate(correlations)])
    statuses = [host.reply(correlation, small).text("status-code") for correlation in correlations]
    assert statuses == ["500" if n % 10 == 5 else "200" for n in range(60)]
