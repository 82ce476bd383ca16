"""How a record becomes a request, seen by a handler that answers with all that it saw."""

import base64
import json
from urllib.parse import unquote_to_bytes

import pytest
from mischief import seen

BINARY = bytes(range(256))


def encoded(value):
    return base64.b64encode(value)


@pytest.fixture(scope="module")
def host(new_host):
    host = new_host()
    host.handler("echo", "POST /echo", partitions=3)
    host.handler("put", "PUT /echo")
    host.handler("by-name", "POST /echo/{id}")
    host.handler("by-header", "POST /echo/{id}/items", path={"id": "header:order-id"})
    host.handler("by-key", "POST /echo/{id}", path={"id": "key"})
    host.handler("by-two", "POST /echo/{shop}/orders/{id}", path={"shop": "header:shop", "id": "key"})
    host.handler("query", "GET /echo", query={"verbose": "header:verbose", "page": "header:page-number"})
    host.handler("removable", "POST /echo/{id}", path={"id": "key"}, tombstone="DELETE /echo/{id}")
    host.handler("pattern", "POST /echo", topic_pattern=f"{host.tenant}\\.pattern-.*")
    host.kafka.create(host.topic("pattern-one"), host.topic("pattern-two"))
    return host.start()


# Method, path, authority and body


def test_operation_and_authority_come_from_the_route(host):
    request = seen(host.ask("put", b"hello", headers=[("host", b"evil.example"), (":path", b"/evil")]))
    assert (request.method, request.path, request.authority) == ("PUT", "/echo", "put")


@pytest.mark.parametrize("value", [b"", b"hello", BINARY, BINARY * 2000], ids=["empty", "text", "binary", "large"])
def test_body_is_the_value(host, value):
    request = seen(host.ask("echo", value))
    assert request.body == value
    assert request.header("content-length") == str(len(value)).encode()
    assert request.header("x-kafka-tombstone") is None


def test_null_is_not_empty(host):
    request = seen(host.ask("echo", None))
    assert request.body == b""
    assert request.header("x-kafka-tombstone") == b"true"


def test_tombstone_may_have_an_operation_of_its_own(host):
    kept, removed = seen(host.ask("removable", b"{}", key=b"7")), seen(host.ask("removable", None, key=b"7"))
    assert (kept.method, kept.path) == ("POST", "/echo/7")
    assert (removed.method, removed.path) == ("DELETE", "/echo/7")
    assert removed.header("x-kafka-tombstone") == b"true"


@pytest.mark.parametrize("topic", ["pattern-one", "pattern-two"])
def test_topics_may_match_a_pattern(host, topic):
    assert seen(host.ask(topic)).header("x-kafka-topic") == host.topic(topic).encode()


# Path parameters

SEGMENTS = ["42", "a/b", "a b", "é", "100%", "a?b#c", "a%2fb", "...", "a..", "..b", ";x=1", "a+b", "[]", "\\", "%"]


@pytest.mark.parametrize("value", SEGMENTS)
def test_a_path_parameter_stays_in_its_segment(host, value):
    path = seen(host.ask("by-name", headers=[("id", value.encode())])).path
    segment = path.removeprefix("/echo/")
    assert not set("/?# ") & set(segment), path
    assert unquote_to_bytes(segment) == value.encode(), path


@pytest.mark.parametrize("handler, key, headers, path", [
    ("by-name", None, [("id", b"7")], "/echo/7"),
    ("by-name", None, [("ID", b"7")], "/echo/7"),
    ("by-name", None, [("id", b"6"), ("Id", b"7")], "/echo/7"),
    ("by-header", None, [("id", b"6"), ("order-id", b"7")], "/echo/7/items"),
    ("by-key", b"7", [("id", b"6")], "/echo/7"),
    ("by-key", b"a b", [], "/echo/a%20b"),
    ("by-two", b"7", [("shop", b"caf\xc3\xa9")], "/echo/caf%C3%A9/orders/7"),
])
def test_path_parameters_come_from_where_the_route_says(host, handler, key, headers, path):
    assert seen(host.ask(handler, key=key, headers=headers)).path.lower() == path.lower()


def assert_invalid(host, handler, reason="invalid-request", status=400, value=b"", key=None, headers=()):
    """At once a dead letter, without a call, and an answer that says so."""
    request, reply = host.ask_and_keep(handler, value, key, headers)
    letter = host.dead_letter(request)
    assert letter.text("x-callgate-dlt-stage") == "request"
    assert letter.text("x-callgate-dlt-reason") == reason
    assert letter.text("x-callgate-dlt-attempts") == "0"
    assert (letter.key, letter.value) == (request.key, request.value)
    assert letter.headers[:len(request.headers)] == request.headers
    assert reply.text("status-code") == str(status)
    assert reply.text("content-type") == "application/problem+json"
    assert json.loads(reply.value)["status"] == status


@pytest.mark.parametrize("value", [b"", b".", b"..", b"%2e", b"%2E%2e", b".%2e", b"\xff\xfe", None])
def test_no_path_without_a_proper_parameter(host, value):
    assert_invalid(host, "by-name", headers=[("id", value)])


def test_no_path_without_its_header(host):
    assert_invalid(host, "by-name")


@pytest.mark.parametrize("key", [None, b"", b"..", b"\xff"])
def test_no_path_without_a_proper_key(host, key):
    assert_invalid(host, "by-key", key=key)


# Query


@pytest.mark.parametrize("headers, query", [
    ([], ""),
    ([("verbose", b"yes")], "?verbose=yes"),
    ([("page-number", b"2"), ("verbose", b"yes")], "?page=2&verbose=yes"),
    ([("verbose", b"a&b=c d"), ("other", b"x")], "?verbose=a%26b%3Dc%20d"),
    ([("verbose", "é+%".encode())], "?verbose=%C3%A9%2B%25"),
    ([("VERBOSE", b"1"), ("verbose", b"2")], "?verbose=2"),
    ([("verbose", b"")], "?verbose="),
])
def test_query_is_mapped_name_by_name(host, headers, query):
    path = seen(host.ask("query", headers=headers)).path
    assert path.startswith("/echo")
    assert sorted(path.removeprefix("/echo").lstrip("?").split("&")) == sorted(query.lstrip("?").split("&"))


# Headers


@pytest.mark.parametrize("name, values, carried, mark", [
    ("plain", [b"a, b; c=\"d\""], [b"a, b; c=\"d\""], None),
    ("empty", [b""], [b""], None),
    ("tab-inside", [b"a\tb"], [b"a\tb"], None),
    ("latin", [b"caf\xe9"], [b"caf\xe9"], None),
    ("utf8", ["café ☕".encode()], ["café ☕".encode()], None),
    ("twice", [b"1", b"2", b"1"], [b"1", b"2", b"1"], None),
    ("binary", [BINARY], [encoded(BINARY)], "binary"),
    ("nul", [b"\0"], [b"AA=="], "nul"),
    ("line", [b"a\r\nx-evil: 1"], [encoded(b"a\r\nx-evil: 1")], "line"),
    ("del", [b"\x7f"], [b"fw=="], "del"),
    ("space-before", [b" a"], [b"IGE="], "space-before"),
    ("space-behind", [b"a "], [b"YSA="], "space-behind"),
    ("tab-behind", [b"a\t"], [b"YQk="], "tab-behind"),
    ("one-of-three", [b"a", b"\n", b"b"], [b"YQ==", b"Cg==", b"Yg=="], "one-of-three"),
    ("null", [None], [b""], "null;null"),
    ("nulls", [None, b"x", None], [b"", b"eA==", b""], "nulls;null=0.2"),
    ("null-behind", [b"x", None], [b"eA==", b""], "null-behind;null=1"),
])
def test_header_values(host, name, values, carried, mark):
    request = seen(host.ask("echo", headers=[(name, value) for value in values]))
    assert request.all(name) == carried
    assert request.header("x-kafka-encoded-headers") == (mark and mark.encode())


def test_encoded_names_are_listed_together(host):
    request = seen(host.ask("echo", headers=[("b", b"\0"), ("plain", b"x"), ("a", None)]))
    marks = request.header("x-kafka-encoded-headers").replace(b" ", b"").split(b",")
    assert sorted(marks) == [b"a;null", b"b"]


@pytest.mark.parametrize("name, carried", [
    ("X-Shop-Name", "x-shop-name"),
    ("zilla:path", "zilla%3apath"),
    ("a b", "a%20b"),
    ("naïve", "na%c3%afve"),
    ("100%", "100%25"),
    ("a(b)", "a%28b%29"),
    ("line\nfeed", "line%0afeed"),
    ("!#$&'*+-.^_`|~0a", "!#$&'*+-.^_`|~0a"),
])
def test_header_names(host, name, carried):
    assert seen(host.ask("echo", headers=[(name, b"here")])).header(carried) == b"here"


def test_a_name_and_a_value_may_both_be_encoded(host):
    request = seen(host.ask("echo", headers=[("a:b", b"\0")]))
    assert request.header("a%3ab") == b"AA=="
    assert request.header("x-kafka-encoded-headers") == b"a%3ab"


def test_an_empty_header_name_is_invalid(host):
    assert_invalid(host, "echo", headers=[("", b"x")])


def test_headers_keep_their_order(host):
    request = seen(host.ask("echo", headers=[("B", b"1"), ("a", b"2"), ("b", b"3"), ("C", b"4"), ("A", b"5")]))
    assert [name for name in request.names if name in "abc"] == ["b", "a", "c"]
    assert (request.all("b"), request.all("a")) == ([b"1", b"3"], [b"2", b"5"])


HOP_BY_HOP = ["connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
              "trailer", "transfer-encoding", "upgrade", "host", "http2-settings"]


@pytest.mark.parametrize("name", [*HOP_BY_HOP, "Connection", "Proxy-Anything"])
def test_hop_by_hop_headers_are_dropped(host, name):
    request = seen(host.ask("echo", headers=[(name, b"chunked"), ("beside", b"kept")]))
    assert (request.all(name.lower()), request.all("beside")) == ([], [b"kept"])


def test_content_length_is_the_hosts(host):
    request = seen(host.ask("echo", b"12345", headers=[("Content-Length", b"99")]))
    assert request.header("content-length") == b"5"


# Metadata


def test_metadata_says_where_the_record_stood(host):
    record, reply = host.ask_and_keep("echo", key=b"where")
    request = seen(reply)
    assert request.header("x-kafka-topic") == record.topic.encode()
    assert request.header("x-kafka-partition") == str(record.partition).encode()
    assert request.header("x-kafka-offset") == str(record.offset).encode()
    assert request.header("x-kafka-timestamp") == str(record.timestamp).encode()
    assert request.header("x-kafka-delivery-attempt") == b"1"


@pytest.mark.parametrize("key, carried, encoding", [
    (None, None, None),
    (b"", b"", None),
    (b"order-7", b"order-7", None),
    (b"!~", b"!~", None),
    (b"a b", b"YSBi", b"base64"),
    (b"a\x7f", b"YX8=", b"base64"),
    ("é".encode(), b"w6k=", b"base64"),
    (BINARY, encoded(BINARY), b"base64"),
])
def test_key(host, key, carried, encoding):
    request = seen(host.ask("echo", key=key))
    assert request.header("x-kafka-key") == carried
    assert request.header("x-kafka-key-encoding") == encoding


@pytest.mark.parametrize("name", ["topic", "partition", "offset", "timestamp", "key", "key-encoding", "tombstone",
                                  "delivery-attempt", "encoded-headers"])
def test_metadata_cannot_be_forged(host, name):
    forged = [(f"x-kafka-{name}", b"forged"), (f"X-Kafka-{name}".upper(), b"forged")]
    request = seen(host.ask("echo", headers=[*forged, ("beside", b"kept")]))
    assert b"forged" not in request.all(f"x-kafka-{name}")
    assert request.header("beside") == b"kept"


# CloudEvents and traces


def test_cloudevents_attributes_become_their_http_headers(host):
    request = seen(host.ask("echo", b"{}", headers=[
        ("ce_specversion", b"1.0"), ("ce_id", b"A234-1234-1234"), ("ce_type", b"shop.ordered"),
        ("ce_source", b"/shop"), ("ce_subject", "Euro € \"50\" 100%".encode()), ("content-type", b"application/json")]))
    assert request.header("ce-specversion") == b"1.0"
    assert request.header("ce-id") == b"A234-1234-1234"
    assert request.header("ce-type") == b"shop.ordered"
    assert request.header("ce-source") == b"/shop"
    assert request.header("ce-subject") == b"Euro%20%E2%82%AC%20%2250%22%20100%25"
    assert request.header("content-type") == b"application/json"
    assert not any(name.startswith("ce_") for name in request.names)


def test_traces_go_on(host):
    trace, span = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"
    request = seen(host.ask("echo", headers=[("traceparent", b"00-" + trace + b"-" + span + b"-01"),
                                             ("tracestate", b"shop=1"), ("baggage", b"user=7")]))
    version, same_trace, parent, flags = request.header("traceparent").split(b"-")
    assert (version, same_trace, flags) == (b"00", trace, b"01")
    assert len(parent) == 16 and parent != span, "the host's own span is the new parent"
    assert (request.header("tracestate"), request.header("baggage")) == (b"shop=1", b"user=7")


# Limits


@pytest.fixture(scope="module")
def strict(new_host):
    host = new_host(tenant={"max_headers": 20, "max_header_bytes": "2KiB", "max_request_body": "1KiB"})
    host.handler("echo", "POST /echo")
    return host.start()


@pytest.mark.parametrize("value, headers", [
    (b"x" * 1025, []),
    (b"", [("large", b"x" * 2049)]),
    (b"", [(f"name-{n}", b"") for n in range(21)]),
], ids=["body", "header bytes", "header count"])
def test_a_request_over_the_limits_is_refused(strict, value, headers):
    assert_invalid(strict, "echo", "request-too-large", 413, value, headers=headers)


def test_a_request_within_the_limits_is_taken(strict):
    assert seen(strict.ask("echo", b"x" * 1024, headers=[("large", b"x" * 1024)])).body == b"x" * 1024
