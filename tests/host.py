"""The host as an operator runs it: a configuration, a folder of handlers, and the command `callgate run`."""

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

from kafka.broker import free_ports
from kafka.client import PATIENCE, Client, Record

REPOSITORY = Path(__file__).resolve().parents[1]
CALLGATE = os.environ.get("CALLGATE_BIN") or str(REPOSITORY / "target" / "debug" / "callgate")
GUESTS = REPOSITORY / "guest-examples" / "out"
COMPILED = REPOSITORY / "target" / "compiled"
"""One cache of compiled components for all tests."""


class Host:
    """One tenant and its handlers on one host. A handler's topic is `<tenant>.<handler>`; replies go to one topic more.

    What is written to the configuration is given as Python values: `sections` are those of `callgate.toml`, and
    `tenant` among them is the one of this host's tenant.
    """

    def __init__(self, folder, kafka: Client, subject, sections):
        self.folder = Path(folder)
        self.kafka = kafka
        self.tenant = f"{subject}-{uuid.uuid4().hex[:8]}"
        self.group = f"callgate.{self.tenant}"
        self.replies = self.topic("replies")
        self.admin = f"127.0.0.1:{free_ports(1)[0]}"
        self.log_file = self.folder / "callgate.log"
        self.process = None
        self.executable = CALLGATE
        self.environment = {}
        self._twins = []
        kafka.create(self.replies)
        self.configure(**sections)

    def configure(self, kafka=None, tenant=None, **sections):
        self.delivery = (kafka or {}).get("delivery", "at-least-once")
        self.config = self.folder / "callgate.toml"
        self.config.write_text(toml({
            "kafka": {"bootstrap_servers": self.kafka.bootstrap, **(kafka or {})},
            "deploy": {"directory": "handlers", "cache": str(COMPILED)},
            "admin": {"listen": self.admin},
            "tenants": {self.tenant: tenant or {}},
            **sections,
        }))

    def handler(self, name, operation="POST /", component="mischief", partitions=1, env=None, middleware=(),
                max_next_calls=None, **route):
        """Writes a manifest with one route, makes its topic, and returns that topic's name."""
        topic = route.setdefault("topic", self.topic(name)) if "topic_pattern" not in route else None
        if topic:
            self.kafka.create(topic, partitions=partitions)
        home = self.folder / "handlers" / self.tenant
        home.mkdir(parents=True, exist_ok=True)
        for guest in [component, *middleware]:
            place(GUESTS / f"{guest}.wasm", home / f"{guest}.wasm")
        manifest = {"component": f"{component}.wasm", "routes": [{"operation": operation, **route}]}
        if middleware:
            manifest["middleware"] = [f"{guest}.wasm" for guest in middleware]
        if max_next_calls:
            manifest["max_next_calls"] = max_next_calls
        if env:
            manifest["env"] = env
        (home / f"{name}.toml").write_text(toml(manifest))
        return topic

    def topic(self, name):
        return f"{self.tenant}.{name}"

    def neighbour(self, subject):
        """Another tenant on the same host: it has handlers and topics of its own. Configure both as `tenants`."""
        neighbour = copy.copy(self)
        neighbour.tenant = f"{subject}-{uuid.uuid4().hex[:8]}"
        neighbour.group = f"callgate.{neighbour.tenant}"
        neighbour.replies = neighbour.topic("replies")
        self.kafka.create(neighbour.replies)
        return neighbour

    def twin(self):
        """Another host with the same configuration: a second member of the same groups."""
        twin = copy.copy(self)
        twin.admin = f"127.0.0.1:{free_ports(1)[0]}"
        twin._twins = []
        twin.log_file = self.folder / f"callgate-{twin.admin.rpartition(':')[2]}.log"
        twin.environment = {**self.environment, "CALLGATE__ADMIN__LISTEN": twin.admin}
        self._twins.append(twin)
        return twin

    # Running it

    def start(self, ready=True):
        with open(self.log_file, "a") as log:
            self.process = subprocess.Popen([self.executable, "run", "--config", self.config], stdin=subprocess.DEVNULL,
                                            stdout=subprocess.PIPE, stderr=log, env={**os.environ, **self.environment})
        if ready:
            self.until(self.is_ready, "is not ready")
        return self

    def compile(self):
        """Fills the cache with what is deployed, ahead of a start."""
        done = subprocess.run([self.executable, "compile", "--config", self.config], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def stop(self):
        """As an orchestrator stops it; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE)
        assert self.process.stdout.read() == b"", "`run` writes nothing to stdout"
        return status

    def kill(self):
        assert self.process.poll() is None, f"the host had ended already:\n{self.log()[-3000:]}"
        self.process.kill()
        self.process.wait(PATIENCE)

    def discard(self):
        for one in [self, *self._twins]:
            if one.process and one.process.poll() is None:
                one.kill()

    def is_ready(self):
        return self.get("/readyz")[0] == 200

    def get(self, path):
        """Status and text of an answer of the admin endpoint; status 0 while nothing listens."""
        try:
            with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def log(self):
        return self.log_file.read_text()

    def until(self, condition, complaint, pause=0.05, alive=True, patience=PATIENCE):
        """Waits for something of which the host gives no other sign. `alive`: it must not have ended meanwhile."""
        give_up = time.monotonic() + patience
        while not condition():
            ended = self.process.poll() if alive else None
            assert ended is None, f"the host ended with status {ended}:\n{self.log()[-3000:]}"
            assert time.monotonic() < give_up, f"the host {complaint}:\n{self.log()[-3000:]}"
            time.sleep(pause)

    # Records

    def send(self, handler, value=b"", key=None, headers=(), partition=-1) -> Record:
        return self.kafka.send(self.topic(handler), value, key, headers, partition)

    def ask(self, handler, value=b"", key=None, headers=(), reply_to=None) -> Record:
        """Sends a record with return address and correlation id, and returns the reply."""
        return self.ask_and_keep(handler, value, key, headers, reply_to)[1]

    def ask_and_keep(self, handler, value=b"", key=None, headers=(), reply_to=None):
        """The same; returns the request as it stood in its topic, too."""
        reply_to, correlation = reply_to or self.replies, uuid.uuid4().hex.encode()
        request = self.send(handler, value, key, [*headers, ("reply-to", reply_to.encode()),
                                                  ("correlation-id", correlation)])
        return request, self.reply(correlation, reply_to)

    def reply(self, correlation, topic=None) -> Record:
        return self.kafka.log(topic or self.replies).find(lambda reply: correlation in reply.all("correlation-id"))

    def await_end(self, record):
        """Waits until the record's end is durable: its offset is committed."""
        self.until(lambda: self.kafka.committed(self.group, record.topic)[record.partition] > record.offset,
                   f"has not ended {record}")

    def dead_letter(self, record, topic=None) -> Record:
        origin = {"x-callgate-dlt-topic": record.topic, "x-callgate-dlt-partition": str(record.partition),
                  "x-callgate-dlt-offset": str(record.offset)}
        return self.kafka.log(topic or f"{record.topic}-dlt").find(
            lambda letter: all(letter.all(name)[-1:] == [value.encode()] for name, value in origin.items()))

    def has_dead_letters(self, record):
        """Whether any record of this topic became one. Await the end of the record first."""
        topic = f"{record.topic}-dlt"
        return topic in self.kafka.topics() and bool(self.kafka.log(topic).all())


def callgate(*arguments, stdin="", folder=None):
    """One of the other commands, run to its end."""
    return subprocess.run([CALLGATE, *arguments], input=stdin, capture_output=True, text=True, timeout=PATIENCE,
                          cwd=folder)


def toml(value, top=True):
    """Python values as TOML; a table in a table is written inline."""
    if isinstance(value, dict):
        lines = [f"{key(name)} = {toml(entry, top=False)}" for name, entry in value.items()]
        return "\n".join(lines) + "\n" if top else "{ " + ", ".join(lines) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(entry, top=False) for entry in value) + "]"
    return json.dumps(value)


def key(name):
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def place(file, at):
    """Beside it first, then renamed: a folder that is watched never shows half a file."""
    beside = at.with_name(f".{at.name}")
    shutil.copyfile(file, beside)
    beside.rename(at)


def other_bytes(component):
    """The same component with a custom section more: another digest, and so another version."""
    name, payload = b"note", uuid.uuid4().bytes
    section = bytes([len(name)]) + name + payload
    return component + bytes([0, len(section)]) + section
