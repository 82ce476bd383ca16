"""A broker that asks for a login and allows only what it must: what the host may not write, it says."""

import signal

import pytest
from confluent_kafka.admin import AclOperation, ResourceType, ScramMechanism
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


def make(new_host, cluster, setup, properties, user=USER, delivery="at-least-once", **tenant):
    host = new_host(client=setup)
    host.configure(kafka={"bootstrap_servers": cluster.bootstrap, "properties": properties, "delivery": delivery},
                   tenant=tenant)
    allow(setup, acl(ResourceType.TOPIC, f"{host.tenant}.", user=user), acl(ResourceType.GROUP, host.group, user=user),
          acl(ResourceType.TRANSACTIONAL_ID, f"{host.group}.", user=user))
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
            # Once the broker has refused the topic, whoever names it is not even called.
            assert letter.text("x-callgate-dlt-attempts") in ("1" if request is requests[1] else "01"), "called once"
        for n in (0, 2, 4):
            assert host.reply(b"%d" % n).text("status-code") == "200"
    assert setup.log(secret).all() == []


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_a_reply_topic_that_is_forbidden_now_and_then(new_host, cluster, setup, delivery):
    """Who names it spoils no batch and no transaction of others: it is found out, and remembered for a while."""
    host = make(new_host, cluster, setup, login("PLAIN", USER, USERS[USER]), delivery=delivery)
    secret, topic = host.topic("secret"), host.topic("work")
    with forbidden(setup, secret):
        host.start()
        addresses = [secret if number % 10 == 0 else host.replies for number in range(500)]
        setup.send_all(topic, [
            {"value": answer(), "partition": number % 2,
             "headers": [("reply-to", address.encode()), ("correlation-id", b"%d" % number)]}
            for number, address in enumerate(addresses)])
        replies = setup.log(host.replies).at_least(450)
        letters = setup.log(f"{topic}-dlt").at_least(50)
        assert {letter.header("x-callgate-dlt-reason") for letter in letters} == {b"reply-failed"}
        assert setup.log(secret).all() == []
        assert host.stop() == 0
    for records, forbidden_ones in ((replies, False), (letters, True)):
        numbers = [int(record.header("correlation-id")) for record in records]
        for partition in (0, 1):
            assert [number for number in numbers if number % 2 == partition] == [
                number for number in range(partition, 500, 2) if (number % 10 == 0) == forbidden_ones], "in order, and once"


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


# What changes while a host runs


def test_a_password_that_is_changed_while_a_host_runs(new_host, a_broker):
    """The broker asks for a login again and again. Until the operator says the new password, nothing goes on or is lost."""
    cluster = a_broker(sasl=True, settings={"connections.max.reauth.ms": 2000})
    setup, user = Client(cluster.admin), "rotated"
    create_user(setup, user, "the-old-one")
    host = make(new_host, cluster, setup, login("SCRAM-SHA-256", user, "the-old-one"), user=user).start()
    assert host.ask("reply", answer(body=b"before")).value == b"before"
    create_user(setup, user, "the-new-one")
    host.until(lambda: "authentication" in host.log().lower(), "does not say that it may not log in any more")
    waiting = host.send("reply", answer(body=b"between"), headers=[("reply-to", host.replies.encode())])
    host.configure(kafka={"bootstrap_servers": cluster.bootstrap,
                          "properties": login("SCRAM-SHA-256", user, "the-new-one")})
    host.process.send_signal(signal.SIGHUP)
    host.await_end(waiting)
    assert host.ask("reply", answer(body=b"after")).value == b"after"
    # One that was answered by a connection which still stood could not be committed any more.
    bodies = [reply.value for reply in setup.log(host.replies).all()]
    assert list(dict.fromkeys(bodies)) == [b"before", b"between", b"after"]
    assert "the-old-one" not in host.log() and "the-new-one" not in host.log()
    assert host.stop() == 0


@pytest.mark.parametrize("kind", [ResourceType.TOPIC, ResourceType.GROUP], ids=["topic", "group"])
@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_a_right_to_read_that_is_taken_back_and_given_again(new_host, cluster, setup, delivery, kind):
    """Meanwhile nothing goes on, and nothing is lost; then it goes on by itself."""
    host = make(new_host, cluster, setup, login("PLAIN", USER, USERS[USER]), delivery=delivery).start()
    assert host.ask("reply", answer(body=b"0")).value == b"0"
    name = host.topic("reply") if kind == ResourceType.TOPIC else host.group
    with forbidden(setup, name, kind, AclOperation.READ):
        waiting = [host.send("reply", answer(body=b"%d" % number), headers=[("reply-to", host.replies.encode())])
                   for number in (1, 2)]
        host.until(lambda: "authorization failed" in host.log().lower(), "does not say that it may not read any more")
    host.await_end(waiting[-1])
    # A transaction's offsets are to be seen a little before what else it has written.
    bodies = [reply.value for reply in setup.log(host.replies).at_least(3)]
    # Without the right to the group nothing can be committed: at least once, what was answered meanwhile may come again.
    assert (bodies if delivery == "exactly-once" else list(dict.fromkeys(bodies))) == [b"0", b"1", b"2"]
    assert host.stop() == 0


def test_a_right_to_read_that_is_taken_back_amid_rebalances(new_host, cluster, setup):
    """The client is told of the refusal among the records of a partition, and goes on behind what it was given last: after
    a rebalance the next record is still the next one."""
    host = make(new_host, cluster, setup, login("PLAIN", USER, USERS[USER])).start()
    topic = host.topic("work")
    addressed = {"headers": [("reply-to", host.replies.encode())]}
    setup.send_all(topic, [{"value": answer(body=b"%d" % number), "partition": number % 2, **addressed}
                           for number in range(10)])
    setup.log(host.replies).at_least(10)
    with forbidden(setup, topic, operation=AclOperation.READ):
        for partition in (0, 1):
            host.until(lambda: refused(host, topic, partition), "does not say that it may not read any more")
        # Its own topic is assigned beside the others, which stand still meanwhile and begin again.
        host.handler("late", "POST /reply-with")
        assert host.ask("late", answer(body=b"late")).value == b"late"
        setup.send_all(topic, [{"value": answer(body=b"%d" % number), "partition": number % 2, **addressed}
                               for number in range(10, 20)])
    for partition in (0, 1):
        host.until(lambda: setup.committed(host.group, topic)[partition] == 10, f"has not ended partition {partition}")
    assert set(range(20)) <= {int(reply.value) for reply in setup.log(host.replies).all() if reply.value != b"late"}
    assert host.stop() == 0


def refused(host, topic, partition):
    """Whether the host has told that this partition cannot be read."""
    return any("run.partition-error" in line and f"{topic}-{partition}" in line for line in host.log().splitlines())
