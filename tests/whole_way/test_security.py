"""A broker that asks for a login and allows only what it must: what the host may not write, it says."""

import pytest
from confluent_kafka.admin import ResourceType, ScramMechanism
from kafka.access import USER, acl, allow, create_user, forbidden, login, take_back
from kafka.broker import USERS
from kafka.client import Client
from mischief import answer


@pytest.fixture(scope="module")
def cluster(a_broker):
    return a_broker(sasl=True)


@pytest.fixture(scope="module")
def setup(cluster):
    """Past the login, by the broker's open listener."""
    return Client(cluster.admin)


def make(new_host, cluster, setup, properties, user=USER, **tenant):
    host = new_host(client=setup)
    host.configure(kafka={"bootstrap_servers": cluster.bootstrap, "properties": properties}, tenant=tenant)
    allow(setup, acl(ResourceType.TOPIC, f"{host.tenant}.", user=user), acl(ResourceType.GROUP, host.group, user=user))
    host.handler("reply", "POST /reply-with", retry={"attempts": 1})
    host.handler("work", "POST /reply-with", retry={"attempts": 1}, partitions=2)
    setup.create(host.topic("secret"))
    return host


@pytest.fixture(scope="module")
def host(new_host, cluster, setup):
    return make(new_host, cluster, setup, login("PLAIN", USER, USERS[USER])).start()


def test_a_login_by_password(host):
    assert host.ask("reply", answer(body=b"hello")).value == b"hello"
    assert USERS[USER] not in host.log()


@pytest.mark.parametrize("bits", [256, 512])
def test_a_login_by_scram(new_host, cluster, setup, bits):
    user, password = f"scram-{bits}", f"only-for-{bits}"
    create_user(setup, user, password, getattr(ScramMechanism, f"SCRAM_SHA_{bits}"))
    host = make(new_host, cluster, setup, login(f"SCRAM-SHA-{bits}", user, password), user=user).start()
    assert host.ask("reply", answer(body=b"hello")).value == b"hello"
    assert password not in host.log()


def test_a_secret_comes_from_the_environment(new_host, cluster, setup):
    host = make(new_host, cluster, setup, login("PLAIN", USER, "${env:KAFKA_PASSWORD}"))
    host.environment["KAFKA_PASSWORD"] = USERS[USER]
    host.start()
    assert host.ask("reply", answer(body=b"hello")).value == b"hello"
    assert USERS[USER] not in host.log()


def test_a_wrong_password_is_said_and_not_shown(new_host, cluster, setup):
    host = make(new_host, cluster, setup, login("PLAIN", USER, "not-the-password")).start(ready=False)
    host.until(lambda: "authentication" in host.log().lower(), "does not say that it may not log in")
    assert not host.is_ready()
    assert "not-the-password" not in host.log()


def test_a_forbidden_reply_topic_is_a_dead_letter(host, setup):
    secret = host.topic("secret")
    with forbidden(setup, secret):
        addresses = [host.replies, secret, host.replies, secret, host.replies]
        requests = [host.send("reply", answer(), headers=[("reply-to", to.encode()), ("correlation-id", b"%d" % n)])
                    for n, to in enumerate(addresses)]
        for request in (requests[1], requests[3]):
            letter = host.dead_letter(request)
            assert letter.text("x-callgate-dlt-stage") == "reply"
            assert letter.text("x-callgate-dlt-reason") == "reply-failed"
            assert letter.text("x-callgate-dlt-attempts") == "1", "there is no second call"
        for n in (0, 2, 4):
            assert host.reply(b"%d" % n).text("status-code") == "200"
    assert setup.log(secret).all() == []


def test_a_forbidden_dead_letter_topic_stops_its_partition_until_it_is_allowed(host, setup):
    """Nothing is lost and nothing is committed; other partitions go on."""
    with forbidden(setup, f"{host.topic('work')}-dlt"):
        stuck, behind = (host.send("work", answer(500), partition=0) for _ in range(2))
        host.until(lambda: host.topic("work") in host.get("/readyz")[1], "does not name the stopped partition")
        for _ in range(3):
            beside = host.send("work", answer(), partition=1, headers=[("reply-to", host.replies.encode())])
            host.await_end(beside)
        assert host.ask("reply", answer(body=b"beside")).value == b"beside"
        assert setup.committed(host.group, stuck.topic)[0] == stuck.offset
        assert setup.log(f"{stuck.topic}-dlt").all() == []
    for record in (stuck, behind):
        assert host.dead_letter(record).text("x-callgate-dlt-reason") == "status"
        host.await_end(record)
    assert len(setup.log(f"{stuck.topic}-dlt").all()) == 2


def test_tenants_may_have_credentials_of_their_own(new_host, cluster, setup):
    host = make(new_host, cluster, setup, login("PLAIN", USER, USERS[USER]))
    user = f"tenant-{host.tenant}"
    create_user(setup, user, "its-own")
    host.configure(kafka={"bootstrap_servers": cluster.bootstrap, "properties": login("PLAIN", USER, USERS[USER])},
                   tenant={"kafka_properties": login("SCRAM-SHA-256", user, "its-own")})
    take_back(setup, acl(ResourceType.TOPIC, f"{host.tenant}."))
    allow(setup, acl(ResourceType.TOPIC, f"{host.tenant}.", user=user), acl(ResourceType.GROUP, host.group, user=user))
    host.start()
    assert host.ask("reply", answer(body=b"hello")).value == b"hello"
