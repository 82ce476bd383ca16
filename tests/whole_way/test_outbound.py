"""Handlers that call others: by the tenant's list, from a record to its reply."""

import base64
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from host import callgate


class Stock(BaseHTTPRequestHandler):
    """A service on this machine that tells what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({"path": self.path, "headers": self.headers.items()}).encode()
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("location", "/elsewhere")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        self.server.asked.append(self.path)


@pytest.fixture(scope="module")
def stock():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stock)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def port(stock):
    return stock.server_address[1]


@pytest.fixture(scope="module")
def host(new_host, port):
    host = new_host(tenant={"outbound": [{"origin": f"http://localhost:{port}", "private": True},
                                         f"http://localhost:{port + 1}", "https://api.example.com"]})
    host.handler("fetch", "POST /fetch", retry={"attempts": 1})
    return host.start()


def fetch(host, authority, headers=(), **wish):
    reply = host.ask("fetch", json.dumps({"authority": authority, **wish}).encode(), headers=headers)
    assert reply.text("status-code") == "200"
    [came] = json.loads(reply.value)
    return came


def test_a_handler_calls_who_is_in_the_list(host, port):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    came = fetch(host, f"localhost:{port}", path="/stock?drink=mocha", headers=[("traceparent", parent.encode())])
    assert came["status"] == 200
    asked = json.loads(base64.b64decode(came["body"]))
    headers = dict(asked["headers"])
    assert asked["path"] == "/stock?drink=mocha"
    assert headers["host"] == f"localhost:{port}"
    trace, span = re.fullmatch("00-(.{32})-(.{16})-01", headers["traceparent"]).groups()
    assert trace == parent[3:35] and span != parent[36:52], "the call is the parent"
    assert not [name for name in headers if name.startswith("x-kafka-")]


def test_a_redirect_is_not_followed(host, port, stock):
    assert fetch(host, f"localhost:{port}", path="/moved")["status"] == 302
    assert "/elsewhere" not in stock.asked


def test_nobody_else_is_called_and_the_operator_learns_of_it(host, port, stock):
    before = len(stock.asked)
    for authority, error in [(f"127.0.0.1:{port}", "HttpRequestDenied"), (f"user@localhost:{port}", "HttpRequestDenied"),
                             ("169.254.169.254", "HttpRequestDenied"), (f"localhost:{port + 1}", "DestinationIpProhibited")]:
        assert error in fetch(host, authority)["error"], authority
    assert len(stock.asked) == before
    host.until(lambda: host.log().count("run.outbound-denied") >= 4, "does not say what it denied")
    assert f"http://127.0.0.1:{port}" in host.log() and "a loopback address" in host.log()
    assert "user@" not in host.log()
    metrics = host.get("/metrics")[1]
    for outcome, count in [("denied", 3), ("forbidden-address", 1)]:
        assert f'callgate_outbound_requests_total{{tenant="{host.tenant}",outcome="{outcome}"}} {count}' in metrics


def test_without_a_list_nobody_is_called(new_host, port, stock):
    host = new_host()
    host.handler("fetch", "POST /fetch", retry={"attempts": 1})
    host.start()
    before = len(stock.asked)
    assert "HttpRequestDenied" in fetch(host, f"localhost:{port}")["error"]
    assert len(stock.asked) == before


def test_check_refuses_what_is_no_origin(new_host):
    host = new_host(tenant={"outbound": ["https://*.example.com", "http://10.0.0.1"]})
    done = callgate("check", "--config", str(host.config))
    assert done.returncode == 2
    assert done.stdout.count("[config.invalid-origin]") == 2
