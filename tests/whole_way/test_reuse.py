"""Instances that serve more than one record, where a manifest asks for it; and handlers that do not bear it."""

import json

import pytest
from host import callgate

RETRY = {"attempts": 3, "backoff": "10ms", "max_backoff": "50ms"}


@pytest.fixture(scope="module")
def host(new_host):
    # One worker: which one has an instance that waits is no question then.
    host = new_host(limits={"workers": 1})
    host.handler("fresh", "POST /count")
    host.handler("thrice", "POST /count", instances={"reuse": 3})
    host.handler("default", "POST /count", instances="reuse")
    host.handler("wrapped", "POST /next", middleware=["mischief"], query={"path": "header:path"}, instances="reuse")
    host.handler("leaky", "POST /leak", query={"mib": "header:mib"}, instances="reuse", retry=RETRY)
    host.handler("reluctant", "POST /traps-when-used-again", instances="reuse")
    host.handler("silent", "POST /silent-when-used-again", instances="reuse")
    host.handler("sly", "POST /traps-unless-probed", instances="reuse", retry=RETRY)
    return host.start()


def count(reply):
    return json.loads(reply.value)["count"]


def lines(host, *words):
    return [line for line in host.log().splitlines() if all(word in line for word in words)]


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


@pytest.mark.parametrize("handler", ["reluctant", "silent"])
def test_a_handler_that_does_not_bear_it_is_refused_at_deploy(host, handler):
    [refusal] = lines(host, "deploy.component-refused", f"handler={handler}")
    assert "of 3 calls in one instance the first was answered, and number 2 was not" in refusal
    checked = callgate("check", "--config", str(host.config))
    assert checked.returncode == 2
    assert f"{handler}.toml:" in checked.stdout and "the handler does not bear it" in checked.stdout


def test_one_that_does_not_answer_a_probe_is_let_through_with_a_warning(host):
    # Where its path leads is in a header that only records have.
    assert lines(host, "run.reuse-unproven", "handler=wrapped")


def test_a_handler_that_fails_later_is_served_all_the_same_and_not_reused_any_more(host):
    for _ in range(8):
        assert host.ask("sly").text("status-code") == "200"
    assert len(lines(host, "run.reuse-given-up", "handler=sly")) == 1
    page = host.get("/metrics")[1]
    assert f'callgate_reuse_given_up_total{{tenant="{host.tenant}",handler="sly"}} 1' in page
    # Three records that were tried twice, five that were not.
    calls = f'callgate_calls_total{{tenant="{host.tenant}",handler="sly",outcome='
    assert sum(int(line.split()[-1]) for line in page.splitlines() if line.startswith(calls)) == 11
