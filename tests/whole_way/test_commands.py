"""The commands as a person or a script uses them: data on stdout, words on stderr, and the exit status."""

import base64
import json
import re
import signal
import subprocess
import threading
import time
import uuid

import pytest
from host import CALLGATE, GUESTS, REPOSITORY, callgate, place, toml
from kafka.client import PATIENCE, Client
from mischief import answer

MISCHIEF = str(GUESTS / "mischief.wasm")
COFFEE = str(GUESTS / "coffee-rust.wasm")
ORDER = '{"drink": "espresso"}'


# In general


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([command, "--help"] for command in (
    "dev", "run", "check", "invoke", "call"))])
def test_help_is_data(arguments):
    done = callgate(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "callgate" in done.stdout


@pytest.mark.parametrize("arguments", [["brew"], ["run", "--no-such-option"], ["invoke"], ["call"],
                                       ["invoke", MISCHIEF, "--header", "no-value"]])
def test_wrong_usage(arguments):
    done = callgate(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


# check and run


@pytest.fixture
def configured(tmp_path):
    """A configuration of one handler, whose text a test may spoil."""
    home = tmp_path / "handlers" / "shop"
    home.mkdir(parents=True)
    place(GUESTS / "mischief.wasm", home / "mischief.wasm")
    (home / "orders.toml").write_text(toml({"component": "mischief.wasm",
                                            "routes": [{"topic": "shop.orders", "operation": "POST /echo"}]}))
    (tmp_path / "callgate.toml").write_text('[kafka]\nbootstrap_servers = "127.0.0.1:1"\n\n[tenants.shop]\n')
    return tmp_path


def test_check_finds_nothing(configured):
    done = callgate("check", folder=configured)
    assert done.returncode == 0, done.stderr


def test_check_finds_all_faults_at_once(configured):
    with open(configured / "callgate.toml", "a") as config:
        config.write('max_memry = "64MiB"\nmax_hops = "many"\n')
    (configured / "handlers/shop/orders.toml").write_text(
        'component = "missing.wasm"\n[[routes]]\ntopic = "shop.orders"\noperation = "POST"\n')
    done = callgate("check", folder=configured)
    assert done.returncode == 2
    said = done.stdout + done.stderr
    for place_and_word in ("callgate.toml:5", "max_memry", "callgate.toml:6", "max_hops", "orders.toml:1",
                           "missing.wasm", "orders.toml:4"):
        assert place_and_word in said, said


def test_check_refuses_what_is_no_handler(configured):
    (configured / "handlers/shop/mischief.wasm").write_bytes(b"\0asm\x01\0\0\0")
    done = callgate("check", folder=configured)
    assert done.returncode == 2
    assert "mischief.wasm" in done.stdout + done.stderr


def test_check_without_a_configuration(tmp_path):
    done = callgate("check", "--config", str(tmp_path / "nowhere.toml"))
    assert done.returncode == 2
    assert "nowhere.toml" in done.stdout + done.stderr


def test_run_refuses_a_faulty_configuration(configured):
    (configured / "callgate.toml").write_text('[kafka]\nbootstrap = "127.0.0.1:1"\n')
    done = callgate("run", folder=configured)
    assert (done.returncode, done.stdout) == (2, "")
    assert "callgate.toml:2" in done.stderr


# invoke


def record(done):
    """The one record that was printed for programs."""
    [line] = done.stdout.splitlines()
    return json.loads(line)


def test_invoke_brews_coffee():
    done = callgate("invoke", COFFEE, "--data", ORDER, "--key", "table-7", "--format", "json")
    assert done.returncode == 0, done.stderr
    reply = record(done)
    assert reply["key"] == "table-7"
    assert reply["headers"][0] == ["status-code", "201"]
    assert json.loads(reply["value"])["drink"] == "espresso"


def test_invoke_for_a_person():
    done = callgate("invoke", COFFEE, "--data", ORDER)
    assert done.returncode == 0
    assert "201" in done.stdout and "espresso" in done.stdout


def test_invoke_takes_data_from_a_file(tmp_path):
    (tmp_path / "order.json").write_text(ORDER)
    done = callgate("invoke", COFFEE, "--data", f"@{tmp_path}/order.json", "--format", "json")
    assert json.loads(record(done)["value"])["drink"] == "espresso"


def test_invoke_maps_the_record():
    done = callgate("invoke", MISCHIEF, "--operation", "PUT /echo", "--header", "a=1", "--header", "b=x=y",
                    "--header", "a=2", "--key", "k", "--data", "hello", "--format", "json")
    seen = json.loads(record(done)["value"])
    headers = [(name, base64.b64decode(value).decode()) for name, value in seen["headers"]]
    assert (seen["method"], seen["path"], base64.b64decode(seen["body"])) == ("PUT", "/echo", b"hello")
    assert [value for name, value in headers if name == "a"] == ["1", "2"]
    assert ("b", "x=y") in headers and ("x-kafka-key", "k") in headers


def test_invoke_prints_bytes_as_base64():
    done = callgate("invoke", MISCHIEF, "--operation", "POST /reply-with", "--data", answer(body=b"\xff\0").decode(),
                    "--format", "json")
    assert record(done)["value"] == {"base64": "/wA="}


@pytest.mark.parametrize("path", ["trap", "no-response", "exit-1", "sleep", "spin"])
def test_invoke_says_that_a_call_failed(path):
    done = callgate("invoke", MISCHIEF, "--operation", f"POST /{path}")
    assert done.returncode == 1
    assert done.stderr


@pytest.mark.parametrize("status, fail, exit_status", [
    (404, False, 0), (404, True, 1), (503, False, 0), (503, True, 1), (200, True, 0), (302, True, 0),
])
def test_invoke_fails_for_a_status_where_it_is_asked(status, fail, exit_status):
    done = callgate("invoke", MISCHIEF, "--operation", f"POST /status/{status}", *(["--fail"] if fail else []))
    assert done.returncode == exit_status, done.stderr


def test_invoke_without_a_component():
    done = callgate("invoke", "nowhere.wasm")
    assert done.returncode == 2
    assert "nowhere.wasm" in done.stderr


# call


@pytest.fixture(scope="module")
def host(new_host):
    host = new_host()
    host.handler("reply", "POST /reply-with")
    host.handler("echo", "POST /echo")
    host.handler("sleep", "POST /sleep", deadline="30s")
    return host.start()


def call(host, handler, *arguments):
    return callgate("call", host.topic(handler), "--bootstrap", host.kafka.bootstrap, "--timeout", "60s",
                    "--reply-to", host.replies, *arguments)


def test_call_prints_the_reply(host):
    wish = answer(201, [("a", b"1")], b"hello").decode()
    done = call(host, "reply", "--key", "k", "--data", wish, "--format", "json")
    assert done.returncode == 0, done.stderr
    reply = record(done)
    assert (reply["topic"], reply["key"], reply["value"]) == (host.replies, "k", "hello")
    assert reply["headers"][:2] == [["status-code", "201"], ["a", "1"]]


def test_call_for_a_person(host):
    done = call(host, "reply", "--data", answer(201, body=b"hello").decode())
    assert done.returncode == 0
    assert "201" in done.stdout and "hello" in done.stdout


def test_call_sends_headers(host):
    done = call(host, "echo", "--header", "shop=corner", "--format", "json")
    assert ["shop", base64.b64encode(b"corner").decode()] in json.loads(record(done)["value"])["headers"]


def test_call_makes_the_topic_of_replies(new_host):
    host = new_host()
    host.configure(tenant={"reply_topics": [f"{host.tenant}.*"]})
    topic = host.handler("reply", "POST /reply-with")
    host.start()
    done = callgate("call", topic, "--bootstrap", host.kafka.bootstrap, "--data", answer().decode(), "--timeout", "60s",
                    "--format", "json")
    assert done.returncode == 0, done.stderr
    assert record(done)["topic"] == f"{topic}.replies"
    assert f"{topic}.replies" in host.kafka.topics()


@pytest.mark.parametrize("fail, exit_status", [([], 0), (["--fail"], 1)])
def test_call_fails_for_a_status_where_it_is_asked(host, fail, exit_status):
    assert call(host, "reply", "--data", answer(404).decode(), *fail).returncode == exit_status


def test_call_gives_up_in_time(host):
    done = callgate("call", host.topic("sleep"), "--bootstrap", host.kafka.bootstrap, "--reply-to", host.replies,
                    "--timeout", "500ms")
    assert (done.returncode, done.stdout) == (1, "")
    assert host.topic("sleep") in done.stderr


def test_call_of_a_topic_that_is_not_there(kafka):
    topic = f"nobody-{uuid.uuid4().hex}"
    done = callgate("call", topic, "--bootstrap", kafka.bootstrap, "--timeout", "60s")
    assert done.returncode == 1
    assert topic in done.stderr
    assert topic not in kafka.topics()


# dev


class Dev:
    """`callgate dev` beside the test, and what it says."""

    def __init__(self, *arguments, folder):
        self.lines = []
        self._more = threading.Condition()
        self.process = subprocess.Popen([CALLGATE, "dev", *arguments], cwd=folder, stdin=subprocess.DEVNULL, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            with self._more:
                self.lines.append(line)
                self._more.notify_all()

    def says(self, pattern):
        """Waits for a line."""
        def found():
            return next(filter(None, (re.search(pattern, line) for line in self.lines)), None)
        with self._more:
            assert self._more.wait_for(found, PATIENCE), "".join(self.lines)
            return found()

    def client(self):
        return Client(self.says(r"bootstrap\W+(127\.0\.0\.1:\d+)")[1])

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


@pytest.fixture
def dev(tmp_path):
    started = []

    def start(*arguments):
        started.append(Dev(*arguments, folder=tmp_path))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()


def ask(client, topic, value, reply_to="anywhere.replies"):
    done = callgate("call", topic, "--bootstrap", client.bootstrap, "--reply-to", reply_to, "--data", value,
                    "--timeout", "60s", "--format", "json")
    assert done.returncode == 0, done.stderr
    return record(done)


def test_dev_brews_coffee(dev):
    running = dev(COFFEE, "--topic", "orders")
    reply = ask(running.client(), "orders", ORDER)
    assert reply["headers"][0] == ["status-code", "201"]
    running.says("orders.*201")
    assert running.stop() == 0


def test_dev_answers_another_client(dev):
    client = dev(MISCHIEF, "--topic", "orders", "--operation", "POST /reply-with").client()
    client.send("orders", answer(body=b"hello"), headers=[("reply-to", b"mine"), ("correlation-id", b"\0\xff")])
    reply = client.log("mine").find(lambda record: record.header("correlation-id") == b"\0\xff")
    assert (reply.value, reply.header("status-code")) == (b"hello", b"200")


def test_dev_takes_a_new_version_of_the_file(dev, tmp_path):
    component = tmp_path / "handler.wasm"
    place(GUESTS / "coffee-rust.wasm", component)
    running = dev(str(component), "--topic", "orders")
    client = running.client()
    assert ask(client, "orders", ORDER)["headers"][0] == ["status-code", "201"]
    place(GUESTS / "mischief.wasm", component)
    give_up = time.monotonic() + PATIENCE
    while ask(client, "orders", ORDER)["headers"][0] != ["status-code", "404"]:
        assert time.monotonic() < give_up, "the new version is not taken"


def test_dev_serves_a_directory(dev, tmp_path):
    home = tmp_path / "handlers" / "shop"
    home.mkdir(parents=True)
    place(GUESTS / "mischief.wasm", home / "mischief.wasm")
    (home / "orders.toml").write_text(toml({"component": "mischief.wasm",
                                            "routes": [{"topic": "shop.orders", "operation": "POST /reply-with"}]}))
    client = dev(str(tmp_path / "handlers")).client()
    assert ask(client, "shop.orders", answer(body=b"hello").decode())["value"] == "hello"


def test_dev_without_arguments_explains_itself(dev):
    dev().says("callgate dev")


# The demo


def test_the_demo_shows_every_order_on_its_way():
    """`make demo`, which is what a stranger sees first."""
    done = subprocess.run([REPOSITORY / "guest-examples" / "demo"], cwd=REPOSITORY, stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=5 * PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "201 Created" in done.stdout and "dead letter to cafe.orders-dlt" in done.stdout
