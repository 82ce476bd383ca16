"""What ends a record: every outcome of a call, for records with and without a return address."""

import json
import time
from email.utils import formatdate

import pytest
from mischief import answer

RETRY = {"attempts": 2, "backoff": "10ms", "max_backoff": "50ms"}

ANSWERED = [200, 201, 204, 302, 304]
REFUSED = [400, 401, 404, 405, 409, 422, 499]
RETRIED = [408, 425, 429, 500, 502, 503, 504, 599]

FAILURES = [
    # what the guest does, with which query; stage and reason of the dead letter; status of the error reply
    ("trap", {}, "invoke", "trap", 502),
    ("panic", {}, "invoke", "trap", 502),
    ("recurse", {}, "invoke", "trap", 502),
    ("exit-1", {}, "invoke", "trap", 502),
    ("trap-after-response", {}, "invoke", "trap", 502),
    ("allocate", {}, "invoke", "out-of-memory", 502),
    ("no-response", {}, "invoke", "no-response", 502),
    ("exit-0", {}, "invoke", "no-response", 502),
    ("wrong-content-length", {}, "response", "invalid-response", 502),
    ("unfinished-body", {}, "response", "invalid-response", 502),
    ("large-response", {"bytes": b"1000000"}, "response", "response-too-large", 502),
    ("endless-body", {}, "response", "response-too-large", 502),
    ("huge-headers", {"count": b"300", "bytes": b"1"}, "response", "response-too-large", 502),
    ("spin", {}, "invoke", "deadline", 504),
    ("sleep", {}, "invoke", "deadline", 504),
    ("stalled-body", {}, "invoke", "deadline", 504),
    ("spin-after-response", {}, "invoke", "deadline", 504),
]


@pytest.fixture(scope="module")
def host(new_host):
    host = new_host(tenant={"max_response_body": "64KiB", "max_memory": "32MiB"})
    host.handler("status", "POST /status/{code}", path={"code": "header:code"}, retry=RETRY)
    host.handler("accepting", "POST /status/{code}", path={"code": "header:code"}, retry=RETRY, client_errors="accept")
    for behaviour, query, *_ in FAILURES:
        host.handler(behaviour, f"POST /{behaviour}", retry=RETRY, deadline="1s",
                     query={name: f"header:{name}" for name in query})
    host.handler("flaky", "POST /fail-until", query={"attempt": "header:attempt"}, retry={**RETRY, "attempts": 3})
    host.handler("patient", "POST /reply-with", retry={"attempts": 2, "backoff": "1h", "max_backoff": "1h"})
    host.handler("impatient", "POST /reply-with", retry={"attempts": 2, "backoff": "10ms", "max_backoff": "100ms"})
    return host.start()


def code(status):
    return ("code", str(status).encode())


def assert_dead(host, request, stage, reason, attempts):
    letter = host.dead_letter(request)
    assert letter.text("x-callgate-dlt-stage") == stage
    assert letter.text("x-callgate-dlt-reason") == reason
    assert letter.text("x-callgate-dlt-attempts") == str(attempts)
    return letter


# A response


@pytest.mark.parametrize("status", ANSWERED)
def test_success_with_a_return_address_is_the_reply(host, status):
    request, reply = host.ask_and_keep("status", headers=[code(status)])
    assert reply.text("status-code") == str(status)
    host.await_end(request)


@pytest.mark.parametrize("status", ANSWERED)
def test_success_without_a_return_address_is_done(host, status):
    host.await_end(host.send("accepting", headers=[code(status)]))


@pytest.mark.parametrize("status", REFUSED)
def test_a_client_error_with_a_return_address_is_the_reply(host, status):
    request, reply = host.ask_and_keep("accepting", headers=[code(status)])
    assert reply.text("status-code") == str(status)
    host.await_end(request)


@pytest.mark.parametrize("status", REFUSED)
def test_a_client_error_without_a_return_address_is_dead_at_once(host, status):
    letter = assert_dead(host, host.send("status", headers=[code(status)]), "response", "status", attempts=1)
    assert letter.text("x-callgate-dlt-status") == str(status)


@pytest.mark.parametrize("status", REFUSED)
def test_a_route_may_accept_client_errors(host, status):
    host.await_end(host.send("accepting", headers=[code(status)]))


def test_what_is_done_leaves_no_dead_letter(host):
    """All that the tests before sent here succeeded or was accepted, and so does this."""
    last = host.send("accepting", headers=[code(404)])
    host.await_end(last)
    assert not host.has_dead_letters(last)


@pytest.mark.parametrize("status", RETRIED)
def test_what_may_pass_is_tried_again_and_the_last_response_is_the_reply(host, status):
    request, reply = host.ask_and_keep("status", headers=[code(status)])
    letter = assert_dead(host, request, "response", "status", RETRY["attempts"])
    assert letter.text("x-callgate-dlt-status") == str(status)
    assert reply.text("status-code") == str(status)


@pytest.mark.parametrize("status", RETRIED)
def test_what_may_pass_is_tried_again_without_a_return_address(host, status):
    letter = assert_dead(host, host.send("status", headers=[code(status)]), "response", "status", RETRY["attempts"])
    assert letter.text("x-callgate-dlt-status") == str(status)


# A call that gives none


each_failure = pytest.mark.parametrize("behaviour, query, stage, reason, status", FAILURES,
                                       ids=[failure[0] for failure in FAILURES])


@each_failure
def test_a_failed_call_with_a_return_address_is_answered_by_the_host(host, behaviour, query, stage, reason, status):
    request, reply = host.ask_and_keep(behaviour, key=b"key", headers=query.items())
    letter = assert_dead(host, request, stage, reason, RETRY["attempts"])
    if reason == "trap":
        assert letter.text("x-callgate-dlt-trap")
    assert reply.key == b"key"
    assert reply.headers[0] == ("status-code", str(status).encode())
    assert reply.text("content-type") == "application/problem+json"
    problem = json.loads(reply.value)
    assert problem["status"] == status
    assert problem["title"]


@each_failure
def test_a_failed_call_without_a_return_address_is_dead(host, behaviour, query, stage, reason, status):
    assert_dead(host, host.send(behaviour, headers=query.items()), stage, reason, RETRY["attempts"])


# Trying again


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_an_attempt_that_succeeds_is_the_answer(host, attempt):
    request, reply = host.ask_and_keep("flaky", headers=[("attempt", str(attempt).encode())])
    assert reply.text("status-code") == "200"


def test_after_the_last_attempt_comes_no_other(host):
    request, reply = host.ask_and_keep("flaky", headers=[("attempt", b"4")])
    assert_dead(host, request, "response", "status", attempts=3)
    assert int(reply.text("status-code")) >= 500


@pytest.mark.parametrize("after", ["0", "1", lambda: formatdate(time.time() + 1, usegmt=True),
                                   lambda: formatdate(time.time() - 60, usegmt=True)],
                         ids=["at once", "seconds", "date", "past date"])
def test_retry_after_stands_in_for_an_hour_of_back_off(host, after):
    after = after() if callable(after) else after
    request, reply = host.ask_and_keep("patient", answer(503, [("retry-after", after.encode())]))
    assert_dead(host, request, "response", "status", attempts=2)
    assert reply.text("status-code") == "503"


def test_retry_after_is_capped_by_the_route(host):
    request, _ = host.ask_and_keep("impatient", answer(429, [("retry-after", b"86400")]))
    assert_dead(host, request, "response", "status", attempts=2)


def test_a_waiting_retry_holds_back_its_partition_only(new_host):
    host = new_host()
    host.handler("work", "POST /reply-with", partitions=2,
                 retry={"attempts": 2, "backoff": "1h", "max_backoff": "1h"})
    host.start()
    waiting = host.send("work", answer(503), partition=0)
    behind = host.send("work", answer(404), partition=0)
    beside = [host.send("work", answer(404), partition=1) for _ in range(5)]
    for record in beside:
        host.dead_letter(record)
    committed = host.kafka.committed(host.group, host.topic("work"))
    assert committed[0] <= waiting.offset < behind.offset
    assert [record.partition for record in host.kafka.log(f"{waiting.topic}-dlt").all()] == [1] * 5
