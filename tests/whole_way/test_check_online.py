"""`callgate check --online`: what only the brokers know of a configuration, before anything runs."""

import json
import uuid

import pytest
from confluent_kafka.admin import AclOperation, ResourceType, ScramMechanism
from host import COMPILED, GUESTS, callgate, place, toml
from kafka.access import USER, acl, allow, create_user, forbidden, login
from kafka.broker import USERS
from kafka.client import Client


class Checked:
    """A configuration of one handler, `orders`, and what a check says about it."""

    def __init__(self, folder):
        self.folder = folder
        self.name = f"check-{uuid.uuid4().hex[:8]}"
        self.home = folder / "handlers" / self.name

    def topic(self, name):
        return f"{self.name}.{name}"

    def check(self, bootstrap, routes, properties=None, delivery="at-least-once", **tenant):
        """Returns the exit status, the handler, and faults and warnings as (code, message) pairs."""
        self.home.mkdir(parents=True, exist_ok=True)
        place(GUESTS / "mischief.wasm", self.home / "mischief.wasm")
        routes = [{"operation": "POST /echo", **route} for route in routes]
        (self.home / "orders.toml").write_text(toml({"component": "mischief.wasm", "routes": routes}))
        (self.folder / "callgate.toml").write_text(toml({
            "kafka": {"bootstrap_servers": bootstrap, "delivery": delivery, "properties": properties or {}},
            "deploy": {"cache": str(COMPILED)}, "tenants": {self.name: tenant}}))
        done = callgate("check", "--online", "--format", "json", folder=self.folder)
        self.said = done.stdout + done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.common = [fault for fault in lines if fault["kind"] == "fault"]
        [self.handler] = [line for line in lines if line["kind"] == "handler"]
        self.status = done.returncode
        return self

    @property
    def faults(self):
        return [(fault["code"], fault["message"]) for fault in [*self.common, *self.handler["faults"]]]

    @property
    def warnings(self):
        return [(warning["code"], warning["message"]) for warning in self.handler.get("warnings", [])]

    def is_sound(self):
        return (self.status, self.handler["status"], self.faults) == (0, "ok", [])

    def has(self, code, *words):
        """Whether there is a fault of this code with these words."""
        assert self.status == 2
        return any(code == found and all(word in message for word in words) for found, message in self.faults)


@pytest.fixture
def checked(tmp_path):
    return Checked(tmp_path)


def test_topics_must_be_there(checked, kafka):
    topic, replies = checked.topic("orders"), checked.topic("replies")
    routes = [{"topic": topic, "reply_to": replies}]
    assert checked.check(kafka.bootstrap, routes).handler["status"] == "unready"
    assert checked.has("broker.topic-missing", topic) and checked.has("broker.topic-missing", replies)
    assert all(fault["file"].endswith("orders.toml") and fault["line"] for fault in checked.handler["faults"])
    assert checked.handler["routes"][0]["topics_now"] == 0
    kafka.create(topic, replies)
    assert checked.check(kafka.bootstrap, routes).is_sound(), checked.said
    assert checked.handler["routes"][0]["topics_now"] == 1


def test_without_online_no_broker_is_asked(checked, kafka):
    checked.check(kafka.bootstrap, [{"topic": checked.topic("orders")}])
    assert callgate("check", folder=checked.folder).returncode == 0


def test_text_for_a_person(checked, kafka):
    topic = checked.topic("orders")
    checked.check(kafka.bootstrap, [{"topic": topic}])
    done = callgate("check", "--online", folder=checked.folder)
    assert done.returncode == 2
    assert f"{checked.name}/orders unready" in done.stdout
    assert f"orders.toml:2: [broker.topic-missing] the topic {topic} is missing" in done.stdout
    assert "1 fault" in done.stderr


def test_a_dead_letter_topic_is_there_or_may_be_made(checked, kafka):
    topic = checked.topic("orders")
    kafka.create(topic)
    assert checked.check(kafka.bootstrap, [{"topic": topic}]).is_sound(), checked.said
    assert f"{topic}-dlt" not in kafka.topics(), "a check makes nothing"
    checked.check(kafka.bootstrap, [{"topic": topic}], create_dead_letter_topic=False)
    assert checked.has("broker.topic-missing", f"the dead-letter topic {topic}-dlt")
    kafka.create(f"{topic}-dlt")
    assert checked.check(kafka.bootstrap, [{"topic": topic}], create_dead_letter_topic=False).is_sound(), checked.said


def test_a_pattern_may_match_nothing_yet(checked, kafka):
    """Nor does it match what replies and dead letters go to."""
    routes = [{"topic_pattern": f"{checked.name}\\..*", "reply_to": checked.topic("answers")}]
    kafka.create(checked.topic("answers"))
    assert checked.check(kafka.bootstrap, routes, max_response_body="1KiB").is_sound(), checked.said
    assert [code for code, _ in checked.warnings] == ["broker.no-topic-matches"]
    kafka.create(*(checked.topic(name) for name in ("a", "b", "a-dlt", "replies")), f"x{checked.topic('c')}")
    assert checked.check(kafka.bootstrap, routes, max_response_body="1KiB").is_sound(), checked.said
    assert (checked.warnings, checked.handler["routes"][0]["topics_now"]) == ([], 2)


def test_what_may_not_fit(checked, kafka):
    topic, replies = checked.topic("orders"), checked.topic("replies")
    kafka.create(topic)
    kafka.create(replies, f"{topic}-dlt", max_message_bytes=10_000)
    routes = [{"topic": topic, "reply_to": replies}]
    assert checked.check(kafka.bootstrap, routes, max_response_body="1MiB").is_sound(), checked.said
    assert sorted(code for code, _ in checked.warnings) == ["broker.topic-limit"] * 2
    for topic in (replies, f"{topic}-dlt"):
        assert any(topic in message and "10000 bytes" in message for _, message in checked.warnings), checked.warnings


def test_no_broker_answers(checked):
    checked.check("127.0.0.1:1", [{"topic": checked.topic("orders")}])
    assert checked.has("broker.unreachable", "127.0.0.1:1", checked.name, "refused"), checked.said


def test_faulty_settings_are_for_no_broker(checked, kafka):
    checked.check(kafka.bootstrap, [{"topic": checked.topic("orders")}], max_hops="many")
    assert [code for code, _ in checked.faults] == ["config.wrong-type", "deploy.tenant-faulty"]
    assert "not asked" in checked.said


# What a tenant may do


@pytest.fixture(scope="module")
def cluster(a_broker):
    return a_broker(sasl=True)


@pytest.fixture(scope="module")
def setup(cluster):
    """Past the login, by the broker's open listener."""
    return Client(cluster.admin)


PLAIN = login("PLAIN", USER, USERS[USER])


def group(checked):
    return acl(ResourceType.GROUP, f"callgate.{checked.name}")


def test_a_user_without_rights(checked, cluster, setup):
    topic, replies = checked.topic("orders"), checked.topic("replies")
    setup.create(topic, replies, f"{topic}-dlt")
    routes = [{"topic": topic, "reply_to": replies}]
    checked.check(cluster.bootstrap, routes, PLAIN)
    assert checked.has("broker.group-forbidden", f"callgate.{checked.name}")
    for one in (topic, replies, f"{topic}-dlt"):
        assert checked.has("broker.topic-forbidden", one), checked.said

    see = acl(ResourceType.TOPIC, checked.name, operation=AclOperation.DESCRIBE)
    allow(setup, see, group(checked))
    checked.check(cluster.bootstrap, routes, PLAIN)
    assert {code for code, _ in checked.faults} == {"broker.topic-forbidden"}
    for words in (f"read the topic {topic}", f"write the reply topic {replies}", f"write the dead-letter topic {topic}-dlt"):
        assert checked.has("broker.topic-forbidden", words), checked.said

    allow(setup, acl(ResourceType.TOPIC, checked.name))
    assert checked.check(cluster.bootstrap, routes, PLAIN).is_sound(), checked.said
    assert USERS[USER] not in checked.said


def test_a_user_without_transactions(checked, cluster, setup):
    topic = checked.topic("orders")
    setup.create(topic, f"{topic}-dlt")
    allow(setup, acl(ResourceType.TOPIC, checked.name), group(checked))
    checked.check(cluster.bootstrap, [{"topic": topic}], PLAIN, delivery="exactly-once")
    assert checked.has("broker.transactions-forbidden", f"callgate.{checked.name}.*"), checked.said
    allow(setup, acl(ResourceType.TRANSACTIONAL_ID, f"callgate.{checked.name}."))
    checked.check(cluster.bootstrap, [{"topic": topic}], PLAIN, delivery="exactly-once")
    assert checked.is_sound(), checked.said


def test_one_forbidden_topic(checked, cluster, setup):
    topic, replies = checked.topic("orders"), checked.topic("replies")
    setup.create(topic, replies)
    allow(setup, acl(ResourceType.TOPIC, checked.name), group(checked))
    with forbidden(setup, replies):
        checked.check(cluster.bootstrap, [{"topic": topic, "reply_to": replies}], PLAIN)
        assert [code for code, _ in checked.faults] == ["broker.topic-forbidden"]
        assert checked.has("broker.topic-forbidden", f"write the reply topic {replies}")


def test_a_dead_letter_topic_that_may_not_be_made(checked, cluster, setup):
    topic = checked.topic("orders")
    setup.create(topic)
    rights = [acl(ResourceType.TOPIC, checked.name, operation=operation)
              for operation in (AclOperation.READ, AclOperation.WRITE)]
    allow(setup, *rights, group(checked))
    checked.check(cluster.bootstrap, [{"topic": topic}], PLAIN)
    assert checked.has("broker.topic-missing", f"{topic}-dlt", "cannot make it"), checked.said


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_wrong_credentials(checked, cluster, mechanism):
    checked.check(cluster.bootstrap, [{"topic": checked.topic("orders")}], login(mechanism, USER, "not-the-password"))
    assert [code for code, _ in checked.faults] == ["broker.credentials"], checked.said
    assert checked.has("broker.credentials", checked.name) and "not-the-password" not in checked.said


def test_each_tenant_is_asked_for_with_its_own_credentials(checked, cluster, setup):
    topic = checked.topic("orders")
    setup.create(topic)
    create_user(setup, checked.name, "its-own", ScramMechanism.SCRAM_SHA_256)
    allow(setup, *(acl(kind, prefix, user=checked.name) for kind, prefix in (
        (ResourceType.TOPIC, checked.name), (ResourceType.GROUP, f"callgate.{checked.name}"))))
    own = login("SCRAM-SHA-256", checked.name, "its-own")
    assert checked.check(cluster.bootstrap, [{"topic": topic}], PLAIN, kafka_properties=own).is_sound(), checked.said
    wrong = {**own, "sasl.password": "not-its-own"}
    checked.check(cluster.bootstrap, [{"topic": topic}], PLAIN, kafka_properties=wrong)
    assert [fault["code"] for fault in checked.common] == ["broker.credentials"]
