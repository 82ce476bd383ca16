"""What an operator sees of a host that runs: how far it is behind and why, and whether it goes on."""

import ctypes
import json
import os
import re
import signal
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from confluent_kafka import Producer
from kafka.client import Client
from ledger import ROUTE

FOR_EVER = "1h"


def metric(host, name, **labels):
    """The value of a metric; 0 where there is none with these labels."""
    shown = ",".join(f'{label}="{value}"' for label, value in labels.items())
    found = re.search(f"^callgate_{name}{{{re.escape(shown)}}} (.*)$", host.get("/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else 0


def of_group(host, name, **labels):
    return metric(host, name, group=host.group, **labels)


def of_handler(host, handler, name, **labels):
    return metric(host, name, tenant=host.tenant, handler=handler, **labels)


def send(host, handler, call, count=1, partition=0, **headers):
    headers = [("call", call.encode()), *((name, value.encode()) for name, value in headers.items())]
    return host.kafka.send_all(host.topic(handler), [{"headers": headers, "partition": partition}] * count)


class Barista(BaseHTTPRequestHandler):
    """A service that answers nobody before the test says so."""

    def do_GET(self):
        self.server.may_answer.wait()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def barista():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Barista)
    server.may_answer = threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.may_answer.set()
    server.shutdown()


def test_a_slow_handler_falls_behind_and_catches_up(new_host, barista):
    authority = f"localhost:{barista.server_address[1]}"
    host = new_host(tenant={"outbound": [{"origin": f"http://{authority}", "private": True}],
                            "max_deadline": FOR_EVER})
    topic = host.handler("orders", "POST /fetch", partitions=2, deadline=FOR_EVER)
    host.start()
    wish = json.dumps({"authority": authority}).encode()
    host.kafka.send_all(topic, [{"value": wish, "partition": partition} for partition in (0, 0, 0, 1, 1)])
    host.until(lambda: of_group(host, "lag") == 5, "is not behind")
    assert of_group(host, "lag_of_worst_partition") == 3
    assert of_handler(host, "orders", "calls_in_flight") == 2, "one a partition"
    assert host.get("/healthz") == (200, "alive\n")
    barista.may_answer.set()
    host.until(lambda: of_group(host, "lag") == 0, "does not catch up")
    assert of_group(host, "lag_of_worst_partition") == 0
    assert of_handler(host, "orders", "calls_in_flight") == 0


def test_who_waits_for_a_retry_is_counted(new_host):
    host = new_host()
    route = {**ROUTE, "retry": {"attempts": 2, "backoff": FOR_EVER, "max_backoff": FOR_EVER}}
    host.handler("orders", ordering="unordered", **route)
    host.start()
    send(host, "orders", "fail-until", count=3, attempt="2")
    host.until(lambda: of_handler(host, "orders", "retries_waiting") == 3, "counts no retries")
    assert of_handler(host, "orders", "calls_in_flight") == 0


def test_an_open_circuit_breaker_is_seen(new_host):
    host = new_host()
    breaker = {"share": 0.5, "min_records": 5, "pause": "manual"}
    host.handler("orders", **{**ROUTE, "retry": {"attempts": 1}, "circuit_breaker": breaker})
    host.start()

    def is_open():
        return of_handler(host, "orders", "circuit_breaker_open", operation=ROUTE["operation"]) == 1

    def is_counted():
        return of_group(host, "partitions_stopped", reason="route-paused") == 1

    assert not is_open() and not is_counted()
    send(host, "orders", "trap", count=6)
    host.until(lambda: is_open() and is_counted(), "does not show the open circuit breaker")
    host.process.send_signal(signal.SIGHUP)
    host.until(lambda: not is_open() and not is_counted(), "does not show that it is closed again")


def test_a_transaction_that_is_left_open_is_seen(new_host, kafka):
    host = new_host()
    topic = host.handler("orders", **ROUTE)
    host.start()
    producer = Producer({**kafka.settings, "transactional.id": topic})
    producer.init_transactions()
    producer.begin_transaction()
    for _ in range(3):
        producer.produce(topic, b"", headers=[("call", b"echo")])
    producer.flush()
    host.until(lambda: of_group(host, "last_stable_offset_lag") == 3, "does not see the open transaction")
    assert of_group(host, "lag") == 0, "nobody can read them"
    producer.commit_transaction()
    host.until(lambda: of_group(host, "last_stable_offset_lag") == 0, "does not see its end")
    host.until(lambda: kafka.committed(host.group, topic)[0] == 3, "does not consume what was committed")
    host.until(lambda: of_group(host, "lag") == 0, "counts the marker of the transaction")


def test_a_host_without_brokers_is_healthy(new_host, a_broker):
    cluster = a_broker()
    host = new_host(client=Client(cluster.bootstrap))
    host.handler("orders")
    host.start()
    assert host.get("/healthz")[0] == 200
    cluster.kill()
    host.until(lambda: "run.client-error" in host.log(), "does not see that its broker is gone")
    assert host.get("/healthz") == (200, "alive\n")


def test_a_thread_that_does_not_go_on_makes_the_host_unhealthy(new_host):
    """It is held by the debugger's means, as a deadlock would hold it, and goes on when it is let go."""
    host = new_host(limits={"workers": 1})
    host.handler("orders", **ROUTE)
    host.start()
    with held(host.process.pid, "consume"):
        host.until(lambda: host.get("/healthz")[0] == 503, "does not notice that nobody polls", pause=1)
        assert f"{host.group} is not polled" in host.get("/healthz")[1]
    host.until(lambda: host.get("/healthz")[0] == 200, "does not recover")


@contextmanager
def held(pid, name):
    """Holds all threads of this name."""
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    seize, interrupt, detach = 0x4206, 0x4207, 17

    def call(request, thread):
        if ptrace(request, thread, None, None) != 0:
            error = ctypes.get_errno()
            pytest.skip(f"this system does not let a test hold a thread: {os.strerror(error)}")

    threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()
               if (task / "comm").read_text().strip() == name]
    assert threads, f"there is no thread {name}"
    for thread in threads:
        call(seize, thread)
        call(interrupt, thread)
        os.waitpid(thread, 0x40000000)
    yield
    for thread in threads:
        call(detach, thread)
