#!/usr/bin/env python3
"""A real Apache Kafka on 127.0.0.1, for tests: one node or three, plain or with SASL and ACLs.

It needs Java 17 and, once, Maven; everything it fetches lies under ~/.cache/callgate. The tests use the class
`Cluster`. By hand:

    python tests/kafka/broker.py start [--data DIR] [--nodes 3] [--sasl]    prints data= bootstrap= (and admin=)
    python tests/kafka/broker.py kill|pause|resume|restart NODE [--data DIR]
    python tests/kafka/broker.py stop [--data DIR] [--wipe]
    python tests/kafka/broker.py fetch                                      all that a start needs, ahead of it

A folder that was started before starts again with the same ports and the same data.
"""

import argparse
import base64
import fcntl
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path

# By hand it is no part of a package.
sys.path.append(str(Path(__file__).resolve().parents[1]))
from kafka.wire import GROUP, METADATA, TRANSACTION, NoAnswer, coordinator, exchange

VERSION = "4.4.0"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "callgate" / f"kafka-{VERSION}"
BY_HAND = Path(__file__).resolve().parents[2] / "target" / "kafka"

# Below the range from which outgoing connections take their ports: the port of a node that is down stays free.
PORTS = range(20000, 32000)

# PLAIN users of the SASL listener. `admin` may do everything, anybody else only what an ACL allows.
USERS = {"admin": "admin-secret", "callgate": "callgate-secret"}

# A quick start matters more to a test than throughput: a small collector, and no optimising compiler.
JVM = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]
LOGGING = ["-Xlog:cds=off", "-Xlog:cds+dynamic=off", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>callgate</groupId><artifactId>test-broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
  <build><plugins><plugin>
    <groupId>org.apache.maven.plugins</groupId><artifactId>maven-dependency-plugin</artifactId><version>3.8.1</version>
  </plugin></plugins></build>
</project>
"""


class BrokerError(Exception):
    """A sentence that says what is wrong and what to do."""


class Distribution:
    """Kafka's jars, formatted storage to copy, and an archive of loaded classes that halves the start."""

    def __init__(self):
        self.java = self._find_java()
        CACHE.mkdir(parents=True, exist_ok=True)
        with self._lock():
            self.classpath = self._jars()
            self.formatted = self._format()
            self.archive = self._archive()

    def command(self, main, *arguments, share=()):
        return [self.java, *JVM, *share, *LOGGING, "-cp", self.classpath, main, *arguments]

    def broker_command(self, properties):
        return self.command("kafka.Kafka", properties, share=[f"-XX:SharedArchiveFile={self.archive}"])

    @staticmethod
    def _find_java():
        home = os.environ.get("JAVA_HOME")
        java = shutil.which(os.path.join(home, "bin", "java") if home else "java")
        if java is None:
            raise BrokerError("No Java here: install Java 17 or newer (Debian: apt install openjdk-17-jre-headless).")
        return os.path.realpath(java)

    @staticmethod
    @contextmanager
    def _lock():
        with open(CACHE / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @staticmethod
    def _jars():
        libs = CACHE / "libs"
        if not libs.exists():
            if shutil.which("mvn") is None:
                raise BrokerError("No Maven here to fetch Apache Kafka with: install it (Debian: apt install maven).")
            print(f"fetching Apache Kafka {VERSION} (43 MB, once)", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=CACHE) as folder:
                Path(folder, "pom.xml").write_text(POM)
                fetch = ["mvn", "-q", "-B", "-f", f"{folder}/pom.xml", "dependency:copy-dependencies",
                         "-DincludeScope=runtime", f"-DoutputDirectory={folder}/libs"]
                if subprocess.run(fetch, stdout=sys.stderr).returncode != 0:
                    raise BrokerError(f"Maven could not fetch Apache Kafka {VERSION}; its reason is above.")
                os.rename(f"{folder}/libs", libs)
        return ":".join(str(jar) for jar in sorted(libs.glob("*.jar")))

    def _format(self):
        """What `kafka-storage format` writes is the same for every node, but for the ids in `meta.properties`."""
        formatted = CACHE / "formatted"
        if not formatted.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as folder:
                properties = Path(folder, "node.properties")
                properties.write_text(as_properties({
                    "process.roles": "broker,controller",
                    "node.id": 1,
                    "listeners": "PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2",
                    "controller.quorum.voters": "1@127.0.0.1:2",
                    "controller.listener.names": "CONTROLLER",
                    "log.dirs": f"{folder}/data",
                }))
                format_ = self.command("kafka.tools.StorageTool", "format", "-t", new_id(), "-c", str(properties))
                done = subprocess.run(format_, capture_output=True, text=True)
                if done.returncode != 0:
                    raise BrokerError(f"Kafka could not format its storage: {done.stdout}{done.stderr}")
                os.rename(f"{folder}/data", formatted)
        return formatted

    def _archive(self):
        """Written by a broker as it stops. It holds for one JVM and one class path only."""
        release = Path(self.java).parents[1] / "release"
        identity = [self.java, release.read_text() if release.exists() else "", self.classpath, *JVM]
        archive = CACHE / f"classes-{hashlib.sha256(repr(identity).encode()).hexdigest()[:12]}.jsa"
        if not archive.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as folder:
                written = Path(folder, "classes.jsa")
                self.archive = written
                recorder = Cluster(Path(folder, "recorder"), distribution=self)
                recorder.run = lambda properties: self.command(
                    "kafka.Kafka", properties, share=[f"-XX:ArchiveClassesAtExit={written}"])
                recorder.start()
                recorder.stop()
                if written.exists():
                    os.rename(written, archive)
        return archive


STARTS = 3
"""Of several nodes, one that comes while the others elect a controller may end by itself; whoever runs it starts it again."""


class Cluster:
    """One broker or three. Each is broker and controller in one process of its own."""

    def __init__(self, data, nodes=1, sasl=False, settings=None, proxy=None, distribution=None):
        self.data = Path(data).resolve()
        self.distribution = distribution or Distribution()
        self.run = self.distribution.broker_command
        self._state_file = self.data / "state.json"
        if self._state_file.exists():
            self.state = json.loads(self._state_file.read_text())
        else:
            self.data.mkdir(parents=True, exist_ok=True)
            self.state = {"cluster": new_id(), "sasl": sasl, "settings": settings or {}, "proxy": proxy,
                          "nodes": {}}
            ports = free_ports(3 * nodes)
            for node in range(1, nodes + 1):
                client, controller, internal = (ports.pop() for _ in range(3))
                self.state["nodes"][str(node)] = {"client": client, "controller": controller, "internal": internal}
            self._save()

    @classmethod
    def at(cls, data):
        if not Path(data, "state.json").exists():
            raise BrokerError(f"No broker was started in {data}: give its folder with --data.")
        return cls(data)

    @property
    def nodes(self):
        return [int(node) for node in self.state["nodes"]]

    @property
    def bootstrap(self):
        """Where clients connect; with SASL, where they must log in."""
        return self._listeners("client")

    @property
    def admin(self):
        """Where a test sets things up without logging in."""
        return self._listeners("internal") if self.state["sasl"] else self.bootstrap

    @property
    def behind_proxy(self):
        """The port of a second listener; whoever comes by it is sent to the proxy for all that follows."""
        return self.state["nodes"]["1"]["internal"]

    def start(self, watch=None):
        """Returns when all nodes have answered, and the coordinators of groups and transactions are there."""
        for node in self.nodes:
            self._prepare(node)
        for node in self.nodes:
            self._launch(node)
        for node in self.nodes:
            self._await_answer(node, brokers=len(self.nodes))
        for kind in (GROUP, TRANSACTION):
            self._await(1, lambda port: coordinator_answers(port, kind))
        if watch:
            self.die_with(watch)
        return self

    def stop(self):
        """In order, as an operator would."""
        running = [node for node in self.nodes if self.alive(node)]
        for node in running:
            self.signal(node, signal.SIGCONT)
            self.signal(node, signal.SIGTERM)
        for node in running:
            self.end(node)

    def wipe(self):
        for node in self.nodes:
            self.kill(node)
        shutil.rmtree(self.data, ignore_errors=True)

    def end(self, node=1):
        """One of them in order; kills it if that takes too long."""
        self.signal(node, signal.SIGTERM)
        if not self._await_end(node, seconds=120):
            self.kill(node)

    def kill(self, node=1):
        self.signal(node, signal.SIGKILL)
        self._await_end(node, seconds=30)

    def pause(self, node=1):
        self.signal(node, signal.SIGSTOP)

    def resume(self, node=1):
        self.signal(node, signal.SIGCONT)

    def restart(self, node=1):
        """Starts a node that is down, with the ports and the data it had."""
        self._launch(node)
        self._await_answer(node, brokers=1)

    def alive(self, node=1):
        return is_broker(self.state["nodes"][str(node)].get("pid"))

    def signal(self, node, number):
        if self.alive(node):
            os.kill(self.state["nodes"][str(node)]["pid"], number)

    def die_with(self, pid):
        """A second process that kills the nodes as soon as the process `pid` has gone, however it went."""
        subprocess.Popen([sys.executable, __file__, "watch", str(pid), "--data", str(self.data)],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)

    def _listeners(self, kind):
        return ",".join(f"127.0.0.1:{ports[kind]}" for ports in self.state["nodes"].values())

    def _save(self):
        beside = self._state_file.with_suffix(".new")
        beside.write_text(json.dumps(self.state, indent=2))
        beside.rename(self._state_file)

    def _prepare(self, node):
        (self.data / f"node-{node}.properties").write_text(as_properties(self._properties(node)))
        storage = self.data / f"node-{node}"
        if not storage.exists():
            shutil.copytree(self.distribution.formatted, storage)
            (storage / "meta.properties").write_text(as_properties({
                "version": 1, "cluster.id": self.state["cluster"], "node.id": node, "directory.id": new_id()}))

    def _launch(self, node):
        if self.alive(node):
            return
        with open(self.data / f"node-{node}.log", "a") as log:
            process = subprocess.Popen(self.run(f"node-{node}.properties"), cwd=self.data, stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, start_new_session=True)
        while process.poll() is None and not is_broker(process.pid):
            time.sleep(0.01)
        self.state["nodes"][str(node)]["pid"] = process.pid
        self._save()

    def _listening(self, mine):
        if self.state["sasl"]:
            return sasl_listeners(mine)
        return proxied_listeners(mine, self.state["proxy"]) if self.state["proxy"] else plain_listeners(mine)

    def _await_answer(self, node, brokers):
        self._await(node, lambda port: metadata_answers(port, self.state["cluster"], brokers))

    def _await(self, node, condition, seconds=120):
        ports = self.state["nodes"][str(node)]
        give_up, again = time.monotonic() + seconds, STARTS - 1
        while not condition(ports["internal"] if self.state["sasl"] else ports["client"]):
            is_alive = self.alive(node)
            if not is_alive and again and len(self.nodes) > 1:
                again -= 1
                self._launch(node)
            elif not is_alive or time.monotonic() > give_up:
                raise BrokerError(f"Node {node} does not answer: see {self.data}/node-{node}.log")
            time.sleep(0.05)

    def _await_end(self, node, seconds):
        give_up = time.monotonic() + seconds
        while self.alive(node):
            if time.monotonic() > give_up:
                return False
            time.sleep(0.02)
        return True

    def _properties(self, node):
        ports, count = self.state["nodes"], len(self.state["nodes"])
        in_sync = 2 if count > 1 else 1
        mine = {kind: f"127.0.0.1:{port}" for kind, port in ports[str(node)].items()}
        return {
            "process.roles": "broker,controller",
            "node.id": node,
            "controller.quorum.voters": ",".join(f"{n}@127.0.0.1:{p['controller']}" for n, p in ports.items()),
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self.data / f"node-{node}",
            # A partition of each internal topic a node: made quickly, and each node coordinates something.
            "offsets.topic.num.partitions": count,
            "offsets.topic.replication.factor": count,
            "transaction.state.log.num.partitions": count,
            "transaction.state.log.replication.factor": count,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.num.partitions": count,
            "share.coordinator.state.topic.replication.factor": count,
            "share.coordinator.state.topic.min.isr": in_sync,
            "default.replication.factor": count,
            "min.insync.replicas": in_sync,
            # A topic that a test forgot to make is a mistake of that test, or the defect that it looks for.
            "auto.create.topics.enable": "false",
            # Nothing waits longer than it must: members that come and go, a node that is killed and started again.
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 500,
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
            # Not less: on a busy machine a broker that lives would be taken for dead.
            "broker.session.timeout.ms": 4000,
            "broker.heartbeat.interval.ms": 250,
            # Small.
            "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,
            "num.network.threads": 2,
            "num.io.threads": 2,
            "background.threads": 2,
            "num.replica.fetchers": 1,
            **self._listening(mine),
            **self.state["settings"],
        }


def plain_listeners(mine):
    return {
        "listeners": f"CLIENT://{mine['client']},CONTROLLER://{mine['controller']}",
        "advertised.listeners": f"CLIENT://{mine['client']}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "CLIENT",
    }


def proxied_listeners(mine, proxy):
    return {
        "listeners": f"CLIENT://{mine['client']},PROXIED://{mine['internal']},CONTROLLER://{mine['controller']}",
        "advertised.listeners": f"CLIENT://{mine['client']},PROXIED://{proxy}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "CLIENT",
    }


def sasl_listeners(mine):
    module = "org.apache.kafka.common.security"
    users = " ".join(f'user_{name}="{password}"' for name, password in USERS.items())
    scram = {f"listener.name.client.scram-sha-{bits}.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;"
             for bits in (256, 512)}
    return {
        "listeners": f"CLIENT://{mine['client']},INTERNAL://{mine['internal']},CONTROLLER://{mine['controller']}",
        "advertised.listeners": f"CLIENT://{mine['client']},INTERNAL://{mine['internal']}",
        "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "INTERNAL",
        "listener.name.client.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.client.plain.sasl.jaas.config": f"{module}.plain.PlainLoginModule required {users};",
        **scram,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:admin",
    }


def as_properties(settings):
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def new_id():
    """As Kafka writes a UUID; one with a dash in front would be read as an option."""
    return "k" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]


def free_ports(count):
    ports = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                ports.append(port)
        if len(ports) == count:
            return ports
    raise BrokerError(f"No free port from {PORTS.start} to {PORTS.stop - 1}.")


def is_broker(pid):
    """A killed child can stay a zombie for a while, which a signal still reaches: so look at what it runs."""
    if pid is None:
        return False
    if Path("/proc/self").exists():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
    else:
        command = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True).stdout
    return b"kafka.Kafka" in command


def metadata_answers(port, cluster, brokers):
    with suppress(NoAnswer):
        answer = exchange(("127.0.0.1", port), METADATA, 2, struct.pack(">i", 0))
        return cluster.encode() in answer and struct.unpack(">i", answer[:4])[0] >= brokers
    return False


def coordinator_answers(port, kind):
    with suppress(NoAnswer):
        return bool(coordinator(("127.0.0.1", port), "me", kind))
    return False


def watch(cluster, pid):
    while is_running(pid):
        time.sleep(0.5)
    cluster = Cluster(cluster.data, distribution=cluster.distribution)
    for node in cluster.nodes:
        cluster.kill(node)


def is_running(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", default=BY_HAND, help="its folder (default: target/kafka)")
    start = commands.add_parser("start", parents=[common], help="start what is not running")
    start.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    start.add_argument("--sasl", action="store_true", help="log in by PLAIN or SCRAM; admin= is an open listener")
    stop = commands.add_parser("stop", parents=[common], help="stop all nodes")
    stop.add_argument("--wipe", action="store_true", help="kill them, and delete the data")
    for name, text in {"kill": "SIGKILL", "pause": "SIGSTOP", "resume": "SIGCONT", "restart": "start again"}.items():
        commands.add_parser(name, parents=[common], help=text).add_argument("node", type=int, nargs="?", default=1)
    commands.add_parser("watch", parents=[common], help="kill all nodes when a process has gone") \
        .add_argument("pid", type=int)
    commands.add_parser("fetch", help="fetch Kafka now, not at the first start")
    arguments = parser.parse_args()

    if arguments.command == "fetch":
        Distribution()
        return
    if arguments.command == "start":
        cluster = Cluster(arguments.data, arguments.nodes, arguments.sasl).start()
        print(f"data={cluster.data}\nbootstrap={cluster.bootstrap}")
        if cluster.state["sasl"]:
            print(f"admin={cluster.admin}")
        return
    cluster = Cluster.at(arguments.data)
    if arguments.command == "stop":
        cluster.wipe() if arguments.wipe else cluster.stop()
    elif arguments.command == "watch":
        watch(cluster, arguments.pid)
    else:
        getattr(cluster, arguments.command)(arguments.node)


if __name__ == "__main__":
    try:
        main()
    except BrokerError as error:
        sys.exit(f"broker.py: {error}")
