"""A handler that fails at everything is kept from draining its topic into dead letters."""

import pytest
from ledger import ROUTE

OPENS = 20
BREAKER = {"share": 0.8, "min_records": OPENS, "window": "1h"}


@pytest.fixture
def host(new_host):
    return new_host()


def send(host, handler, call, count):
    return host.kafka.send_all(host.topic(handler), [
        {"headers": [("call", call.encode()), ("correlation-id", b"%d" % number)]} for number in range(count)])


def dead_letters(host, handler):
    return host.kafka.size(f"{host.topic(handler)}-dlt")


def await_dead_letters(host, handler, count):
    host.until(lambda: f"{host.topic(handler)}-dlt" in host.kafka.topics() and dead_letters(host, handler) >= count,
               f"has not written {count} dead letters")


def serve(host, name, **breaker):
    route = {**ROUTE, "retry": {"attempts": 1}, "circuit_breaker": {**BREAKER, **breaker}}
    return host.handler(name, **route)


def test_it_opens_and_only_its_own_route_waits(host):
    serve(host, "failing", pause="manual")
    serve(host, "sound")
    host.start()
    send(host, "failing", "trap", 4 * OPENS)
    host.until(lambda: "circuit breaker" in host.get("/readyz")[1], "does not pause the route")
    assert host.get("/readyz")[0] == 200
    assert "run.route-paused" in host.log()
    host.ask("sound", headers=[("call", b"echo")])
    assert dead_letters(host, "failing") == OPENS
    host.until(lambda: host.kafka.committed(host.group, host.topic("failing"))[0] == OPENS, "has not committed")
    assert host.stop() == 0
    assert dead_letters(host, "failing") == OPENS


def test_after_the_pause_it_tries_a_few_and_goes_on(host):
    topic = serve(host, "failing", pause="1s")
    host.start()
    send(host, "failing", "trap", OPENS)
    last = send(host, "failing", "echo", 2 * OPENS)[-1]
    host.await_end(last)
    assert dead_letters(host, "failing") == OPENS
    assert topic not in host.get("/readyz")[1]
    assert host.log().count("run.route-paused") == 1


def test_it_opens_again_while_what_it_tries_fails(host):
    serve(host, "failing", pause="1s")
    host.start()
    last = send(host, "failing", "trap", OPENS + 25)[-1]
    host.await_end(last)
    assert dead_letters(host, "failing") == OPENS + 25
    assert host.log().count("run.route-paused") == 3, "after the first twenty, and twice after ten more"


def test_successes_in_between_keep_it_closed(host):
    serve(host, "failing", share=1.0, run=OPENS)
    host.start()
    for _ in range(3):
        send(host, "failing", "trap", OPENS - 1)
        last = send(host, "failing", "echo", 1)[0]
    host.await_end(last)
    assert "run.route-paused" not in host.log()


def test_false_turns_it_off(host):
    host.handler("failing", **{**ROUTE, "retry": {"attempts": 1}})
    host.start()
    last = send(host, "failing", "trap", 600)[-1]
    host.await_end(last)
    assert dead_letters(host, "failing") == 600
