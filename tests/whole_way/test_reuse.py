"""Instances that serve more than one record, where a manifest asks for it; and handlers that do not bear it."""

import json

import pytest

RETRY = {"attempts": 3, "backoff": "10ms", "max_backoff": "50ms"}
RELUCTANT = ["traps-when-used-again", "silent-when-used-again"]


@pytest.fixture(scope="module")
def host(new_host):
    # One worker: which one has an instance that waits is no question then.
    host = new_host(limits={"workers": 1})
    host.handler("fresh", "POST /count")
    host.handler("thrice", "POST /count", instances={"reuse": 3})
    host.handler("default", "POST /count", instances="reuse")
    host.handler("wrapped", "POST /next", middleware=["mischief"], query={"path": "header:path"}, instances="reuse")
    host.handler("leaky", "POST /leak", query={"mib": "header:mib"}, instances="reuse", retry=RETRY)
    for what in RELUCTANT:
        host.handler(what, f"POST /{what}", instances="reuse", retry=RETRY)
    return host.start()


def count(reply):
    return json.loads(reply.value)["count"]


def test_an_instance_serves_as_many_records_as_the_manifest_says(host):
    assert [count(host.ask("fresh")) for _ in range(3)] == [1, 1, 1]
    assert [count(host.ask("thrice")) for _ in range(7)] == [1, 2, 3, 1, 2, 3, 1]
    assert [count(host.ask("default")) for _ in range(5)] == [1, 2, 3, 4, 5]


def test_what_middleware_wraps_is_reused_too(host):
    counts = []
    for _ in range(3):
        told = json.loads(host.ask("wrapped", headers=[("path", b"/count")]).value)["answers"][0]
        assert told["status"] == 200
        counts.append(told["body"])
    assert len(set(counts)) == 3


def test_an_instance_that_has_used_up_its_memory_gives_way_to_a_fresh_one(host):
    replies = [host.ask("leaky", headers=[("mib", b"20")]) for _ in range(8)]
    assert {reply.text("status-code") for reply in replies} == {"200"}
    # Three of them fit into 64 MiB; the next one fails and is tried again.
    assert max(count(reply) for reply in replies) <= 3


@pytest.mark.parametrize("handler", RELUCTANT)
def test_a_handler_that_does_not_bear_it_is_served_all_the_same_and_not_reused_any_more(host, handler):
    for _ in range(8):
        assert host.ask(handler).text("status-code") == "200"
    alerts = [line for line in host.log().splitlines() if "run.reuse-given-up" in line and f"handler={handler} " in line]
    assert len(alerts) == 1, alerts
    labels = f'{{tenant="{host.tenant}",handler="{handler}"}}'
    page = host.get("/metrics")[1]
    assert f"callgate_reuse_given_up_total{labels} 1" in page
    # Three records that were tried twice, five that were not.
    failed = f'callgate_calls_total{{tenant="{host.tenant}",handler="{handler}",outcome='
    assert sum(int(line.split()[-1]) for line in page.splitlines() if line.startswith(failed)) == 11
