"""Deploy by dropping a file, while the host runs and records flow."""

import json
import os
import re
import shutil
import signal
import time
import uuid

import pytest
from host import GUESTS, other_bytes, place, toml
from kafka.client import PATIENCE
from ledger import ROUTE, Ledger


@pytest.fixture
def host(new_host):
    host = new_host()
    host.home = host.folder / "handlers" / host.tenant
    return host


def write(host, name, text):
    """A manifest, written beside and renamed."""
    beside = host.home / f".{name}.toml"
    beside.write_text(text)
    beside.rename(host.home / f"{name}.toml")


def new_version(host, name, version, component="mischief", **more):
    """The handler `name` on its topic, whose guest sees `VERSION`."""
    write(host, name, toml({"component": f"{component}.wasm", "routes": [{"topic": host.topic(name), **more}],
                            "env": {"VERSION": str(version)}}))


def version_of(reply):
    return dict(json.loads(reply.value)).get("VERSION")


def gone(handler, host):
    """The lines that say so. Without its manifest a component is a handler under its own name, which is another one."""
    return re.findall(rf"a handler is gone.* handler={handler}\n", host.log())


def metric(host, pattern):
    return re.search(pattern, host.get("/metrics")[1])


def has_alert(host):
    return metric(host, r"(?m)^callgate_deploy_directory_alert (\d)$").group(1) == "1"


def test_a_component_alone_is_enough_and_the_directory_may_appear_later(host):
    host.start()
    assert host.get("/readyz") == (200, "")
    topic = host.topic("coffee-rust")
    host.kafka.create(topic)
    host.home.mkdir(parents=True)
    shutil.copyfile(GUESTS / "coffee-rust.wasm", host.home / "coffee-rust.wasm")
    # An empty order is a bad one: its answer says that it was asked.
    assert host.ask("coffee-rust").text("status-code") == "400"
    assert metric(host, r'callgate_handler_version\{.*handler="coffee-rust".*digest="sha256:[0-9a-f]{64}"\} 1')


def test_a_topic_that_is_missing_makes_nobody_unready_and_is_named(host):
    host.handler("there", "GET /status/200")
    missing = host.topic("missing")
    place(GUESTS / "mischief.wasm", host.home / "missing.wasm")
    write(host, "alone", toml({"component": "mischief.wasm", "group": "alone",
                               "routes": [{"topic": host.topic("alone"), "operation": "GET /status/200"}]}))
    host.start()
    assert host.ask("there").text("status-code") == "200"
    host.until(lambda: f"not joined: Subscribed topic not available: {host.topic('alone')}" in host.get("/readyz")[1],
               "does not name the missing topic")
    assert host.get("/readyz")[0] == 200
    assert "run.topic-unavailable" in host.log() and missing in host.log()
    host.kafka.create(host.topic("alone"))
    assert host.ask("alone").text("status-code") == "200"


def test_a_group_may_have_nothing_left_that_its_patterns_match(host):
    topic = host.handler("env", "GET /env", env={"VERSION": "1"})
    host.start()
    assert version_of(host.ask("env")) == "1"
    write(host, "env", toml({"component": "mischief.wasm", "env": {"VERSION": "2"},
                             "routes": [{"topic_pattern": f"{topic}-v[0-9]+", "operation": "GET /env"}]}))
    host.until(lambda: 'subscribed' in host.log() and 'topics=""' in host.log(), "does not leave the topic")
    waiting = host.send("env")
    host.until(lambda: host.get("/readyz")[0] == 200, "is not ready")
    assert host.kafka.committed(host.group, topic)[0] <= waiting.offset
    write(host, "env", toml({"component": "mischief.wasm", "env": {"VERSION": "3"},
                             "routes": [{"topic": topic, "operation": "GET /env"}]}))
    host.await_end(waiting)


def test_a_new_version_takes_the_place_without_a_rebalance(host):
    topic = host.handler("env", "GET /env", env={"VERSION": "1"}, partitions=3)
    host.start()
    assert version_of(host.ask("env")) == "1"
    before = metric(host, r"callgate_rebalances_total\{.*\} (\d+)").group(1)
    new_version(host, "env", 2, operation="GET /env")
    host.until(lambda: version_of(host.ask("env")) == "2", "does not take the new version")
    assert metric(host, r"callgate_rebalances_total\{.*\} (\d+)").group(1) == before
    assert topic in host.kafka.topics()


def test_a_call_in_flight_ends_on_the_version_that_it_began_with(host):
    host.handler("slow", "GET /sleep", query={"ms": "header:ms"}, deadline="20s", env={"VERSION": "1"})
    host.start()
    correlation = b"in-flight"
    host.send("slow", headers=[("reply-to", host.replies.encode()), ("correlation-id", correlation), ("ms", b"4000")])
    host.until(lambda: metric(host, r"callgate_records_held\{.*\} 1"), "does not take the record in")
    new_version(host, "slow", 2, operation="GET /env")
    host.until(lambda: host.log().count("a version is loaded") == 2, "does not load the new version")
    # It slept to its end, and the one after it is on the new version.
    assert host.reply(correlation).text("status-code") == "200"
    assert version_of(host.ask("slow")) == "2"


def test_a_retry_takes_the_version_that_is_current_when_its_time_comes(host):
    host.handler("late", "GET /trap", retry={"attempts": 10, "backoff": "1s", "max_backoff": "1s"})
    host.start()
    correlation = b"retried"
    host.send("late", headers=[("reply-to", host.replies.encode()), ("correlation-id", correlation)])
    host.until(lambda: metric(host, r'callgate_calls_total\{.*outcome="trap"\} [1-9]'), "does not call")
    new_version(host, "late", 2, operation="GET /env")
    assert version_of(host.reply(correlation)) == "2"


def test_a_deleted_handler_drains_and_later_records_wait(host):
    host.handler("env", "GET /env", env={"VERSION": "1"})
    host.handler("other", "GET /env", env={"VERSION": "1"})
    host.start()
    assert version_of(host.ask("env")) == "1"
    (host.home / "env.toml").unlink()
    host.until(lambda: gone("env", host), "does not notice")
    host.until(lambda: metric(host, r"callgate_partitions_assigned\{.*\} 1\n"), "keeps the partition")
    waiting, correlation = host.topic("env"), b"later"
    request = host.send("env", headers=[("reply-to", host.replies.encode()), ("correlation-id", correlation)])
    assert version_of(host.ask("other")) == "1"
    assert host.kafka.committed(host.group, waiting)[0] == request.offset
    # Once it is back, the record that waited is answered.
    new_version(host, "env", 2, operation="GET /env")
    assert version_of(host.reply(correlation)) == "2"


@pytest.mark.parametrize("how", ["deleted", "moved"])
@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_a_topic_that_is_left_under_load_repeats_nothing(new_host, delivery, how):
    """Where no other topic of its group is there, the client would take the partitions for lost as it subscribes anew."""
    host = new_host(kafka={"delivery": delivery})
    host.home = host.folder / "handlers" / host.tenant
    topic, missing = host.handler("work", partitions=3, **ROUTE), host.topic("missing")
    manifest = (host.home / "work.toml").read_text()
    if how == "deleted":
        write(host, "early", manifest.replace(topic, missing))
    ledger, records = Ledger(host, "work"), 10_000
    host.start()
    ledger.send(records)
    ledger.await_replies(records // 10)
    if how == "deleted":
        (host.home / "work.toml").unlink()
    else:
        write(host, "work", manifest.replace(topic, missing))
    host.until(lambda: metric(host, r"callgate_partitions_assigned\{.*\} 0\n"), "keeps the partitions")
    assert ledger.read() < records, "it had nothing more to do"
    write(host, "work", manifest)
    ledger.await_ends(records)
    assert not ledger.assert_whole().repeated
    assert "run.partitions-lost" not in host.log()
    assert host.stop() == 0


def test_a_topic_that_goes_and_comes_back_while_its_partition_is_taken_up_anew_goes_on(new_host):
    """Its order has changed, and a call holds it; then it is not wanted; then it is again."""
    host = new_host()
    host.home = host.folder / "handlers" / host.tenant
    topic = host.handler("work", **ROUTE, deadline="30s")
    host.handler("other", "GET /env")
    manifest = (host.home / "work.toml").read_text()
    host.start()
    host.send("work", headers=[("call", b"sleep"), ("ms", b"4000")])
    host.until(lambda: metric(host, r'callgate_calls_in_flight\{.*handler="work"\} 1\n'), "does not call")
    in_another_order = manifest.replace("{ operation", '{ ordering = "key", operation', 1)
    assert in_another_order != manifest
    write(host, "work", in_another_order)
    host.until(lambda: "partitions are taken up anew" in host.log(), "does not change the order")
    write(host, "work", in_another_order.replace(topic, host.topic("missing")))
    host.until(lambda: host.log().count("a version is loaded") == 4, "does not take the topic away")
    write(host, "work", in_another_order)
    host.until(lambda: host.log().count("a version is loaded") == 5, "does not take the topic back")
    assert host.ask("work", headers=[("call", b"fail-until")]).text("status-code") == "200"
    assert host.stop() == 0


def test_the_last_handler_of_a_group_leaves_it_and_comes_back(host):
    host.handler("env", "GET /env", env={"VERSION": "1"})
    host.start()
    assert version_of(host.ask("env")) == "1"
    for version in range(2, 5):
        (host.home / "env.toml").unlink()
        host.until(lambda: len(gone("env", host)) == version - 1, "does not notice")
        new_version(host, "env", version, operation="GET /env")
        assert version_of(host.ask("env")) == str(version)


@pytest.mark.parametrize("wrong", ["empty", "half", "core module", "text"])
def test_a_bad_version_is_refused_and_the_running_one_stays(host, wrong):
    host.handler("env", "GET /env", env={"VERSION": "1"}, component="mischief")
    host.start()
    good = (GUESTS / "mischief.wasm").read_bytes()
    bad = {"empty": b"", "half": good[:len(good) // 2], "core module": b"\0asm\1\0\0\0", "text": b"hello"}[wrong]
    (host.home / ".new").write_bytes(bad)
    (host.home / ".new").rename(host.home / "mischief.wasm")
    host.until(lambda: metric(host, r'callgate_handler_refused\{.*handler="env",code="deploy\.component-refused"\} 1'),
               "does not refuse it")
    assert "mischief.wasm" in [line for line in host.log().splitlines() if "deploy.component-refused" in line][-1]
    assert version_of(host.ask("env")) == "1"
    status, body = host.get("/readyz")
    assert (status, "refused; the version before goes on" in body) == (200, True)
    place(GUESTS / "mischief.wasm", host.home / "mischief.wasm")
    host.until(lambda: not metric(host, r"callgate_handler_refused\{"), "does not take the good one back")


@pytest.mark.parametrize("wrong", ["topic", "component"])
def test_a_version_that_goes_on_keeps_its_topics(host, wrong):
    """Its files are refused when they are read, or when they are compiled; they say nothing of its topic any more."""
    topic = host.handler("first", "GET /env", env={"VERSION": "first"})
    host.start()
    assert version_of(host.ask("first")) == "first"
    if wrong == "topic":
        write(host, "first", toml({"component": "mischief.wasm", "routes": [{"topic": "of.somebody.else"}]}))
    else:
        # Sound from outside, and not in the middle of its code.
        code = (GUESTS / "mischief.wasm").read_bytes()
        middle = len(code) // 2
        (host.home / "damaged.wasm").write_bytes(code[:middle] + b"\xff" * 64 + code[middle + 64:])
        write(host, "first", toml({"component": "damaged.wasm", "routes": [{"topic": host.topic("other")}]}))
    host.until(lambda: metric(host, r'callgate_handler_refused\{.*handler="first"'), "does not refuse it")
    write(host, "second", toml({"component": "mischief.wasm", "env": {"VERSION": "second"},
                                "routes": [{"topic": topic, "operation": "GET /env"}]}))
    refused = r'callgate_handler_refused\{.*handler="second",code="manifest\.topic-conflict"\} 1'
    host.until(lambda: metric(host, refused), "does not refuse the second")
    assert f"the handler first of the same group gets {topic} as well" in host.log()
    assert version_of(host.ask("first")) == "first"
    (host.home / "first.toml").unlink()
    host.until(lambda: not metric(host, refused), "does not take the second")
    assert version_of(host.ask("first")) == "second"


def test_versions_swap_while_records_flow_and_none_is_lost_or_failed(host):
    host.handler("env", "GET /env", env={"VERSION": "0"}, partitions=2)
    host.start()
    good, sent, count = (GUESTS / "mischief.wasm").read_bytes(), [], 0
    for version in range(2, 7):
        (host.home / ".new").write_bytes(other_bytes(good))
        (host.home / ".new").rename(host.home / "mischief.wasm")
        until = time.monotonic() + PATIENCE
        while host.log().count("a version is loaded") < version:
            assert time.monotonic() < until, host.log()[-3000:]
            batch = [{"headers": [("reply-to", host.replies.encode()), ("correlation-id", str(count + n).encode())]}
                     for n in range(20)]
            sent += host.kafka.send_all(host.topic("env"), batch)
            count += len(batch)
            time.sleep(0.02)
    replies = host.kafka.log(host.replies).at_least(count)
    assert sorted(int(reply.text("correlation-id")) for reply in replies) == list(range(count))
    assert {reply.text("status-code") for reply in replies} == {"200"}
    assert not metric(host, r'callgate_records_total\{.*end="dead-letter"')


def test_a_version_whose_first_records_trap_is_rolled_back(host):
    host.handler("env", "GET /env", env={"VERSION": "1"})
    host.start()
    assert version_of(host.ask("env")) == "1"
    write(host, "env", toml({"component": "mischief.wasm", "rollback": {"traps": 3},
                             "routes": [{"topic": host.topic("env"), "operation": "GET /trap",
                                         "retry": {"attempts": 1}}]}))
    host.until(lambda: host.log().count("a version is loaded") == 2, "does not load the new version")
    for _ in range(3):
        assert host.ask("env").text("status-code") == "502"
    host.until(lambda: "run.rolled-back" in host.log(), "does not roll back")
    assert version_of(host.ask("env")) == "1"
    assert metric(host, r'callgate_handler_refused\{.*code="run.rolled-back"\} 1')


def test_a_dead_letters_line_names_the_version(host):
    host.handler("trap", "GET /trap", retry={"attempts": 1})
    host.start()
    host.dead_letter(host.send("trap"))
    host.until(lambda: "dead letter" in host.log(), "does not log it")
    line = next(line for line in host.log().splitlines() if "dead letter" in line)
    assert re.search(r"version=\"?sha256:[0-9a-f]{64}", line) and re.search(r"digest=\"?sha256:[0-9a-f]{64}", line)


# SIGHUP


def test_sighup_changes_a_tenant_and_touches_no_other(host):
    host.handler("env", "GET /env", env={"VERSION": "1"})
    other = host.tenant + "-b"
    home = host.folder / "handlers" / other
    home.mkdir(parents=True)
    place(GUESTS / "mischief.wasm", home / "mischief.wasm")
    host.kafka.create(f"{other}.env")
    (home / "env.toml").write_text(toml({"component": "mischief.wasm",
                                         "routes": [{"topic": f"{other}.env", "operation": "GET /echo"}]}))
    tenants = {host.tenant: {}, other: {"reply_topics": [f"{other}.*"]}}
    host.configure(tenants=tenants)
    host.start()
    refused = host.kafka.send(f"{other}.env", headers=[("reply-to", host.replies.encode())])
    assert host.dead_letter(refused).text("x-callgate-dlt-reason") == "reply-refused"
    tenants[other] = {"reply_topics": [f"{other}.*", host.replies]}
    host.configure(tenants=tenants, limits={"workers": 7})
    rebalances = metric(host, r"callgate_rebalances_total\{.*\} (\d+)").group(0)
    host.process.send_signal(signal.SIGHUP)
    host.until(lambda: "was read again" in host.log(), "does not read the file again")
    assert "limits.workers" in host.log() and "run.needs-restart" in host.log()

    def answered():
        correlation = uuid.uuid4().hex.encode()
        host.kafka.send(f"{other}.env", headers=[("reply-to", host.replies.encode()), ("correlation-id", correlation)])
        return host.reply(correlation).text("status-code") == "200"

    assert answered()
    assert version_of(host.ask("env")) == "1"
    assert rebalances in host.get("/metrics")[1]


def test_rights_that_are_taken_away_end_for_a_version_whose_files_are_refused(host):
    host.handler("env", "GET /env", env={"VERSION": "1"})
    host.start()
    assert version_of(host.ask("env")) == "1"
    write(host, "env", "this is no TOML")
    host.until(lambda: metric(host, r'callgate_handler_refused\{.*code="config.syntax"\} 1'), "does not refuse it")
    host.process.send_signal(signal.SIGHUP)
    host.until(lambda: "was read again" in host.log(), "does not read the file again")
    assert version_of(host.ask("env")) == "1", "nothing has changed for its tenant"
    host.configure(tenant={"reply_topics": [f"{host.tenant}.elsewhere"]})
    host.process.send_signal(signal.SIGHUP)
    host.until(lambda: "run.version-stopped" in host.log(), "does not stop it")
    waiting = host.send("env", headers=[("reply-to", host.replies.encode())])
    host.until(lambda: not metric(host, r"callgate_handler_version\{"), "goes on with it")
    host.configure()
    write(host, "env", toml({"component": "mischief.wasm", "env": {"VERSION": "2"},
                             "routes": [{"topic": host.topic("env"), "operation": "GET /env"}]}))
    host.process.send_signal(signal.SIGHUP)
    host.await_end(waiting)
    assert version_of(host.ask("env")) == "2"


def test_a_secret_that_never_comes_keeps_nobody_waiting(host):
    host.handler("env", "GET /env", env={"VERSION": "1"})
    host.start()
    os.mkfifo(host.folder / "secret")
    host.configure(tenant={"secrets": {"K": "${file:secret}"}})
    host.process.send_signal(signal.SIGHUP)
    assert version_of(host.ask("env")) == "1"
    assert host.get("/healthz")[0] == 200
    assert host.stop() == 0


def test_a_faulty_file_changes_nothing(host):
    host.handler("env", "GET /env", env={"VERSION": "1"})
    host.start()
    host.config.write_text(host.config.read_text() + "\n[limit]\nmemory = 3\n")
    host.process.send_signal(signal.SIGHUP)
    host.until(lambda: "run.reload-refused" in host.log(), "does not say so")
    assert "config.unknown-key" in host.log()
    assert version_of(host.ask("env")) == "1"


def test_a_directory_that_vanishes_is_an_alert_and_no_deletion(host):
    host.handler("env", "GET /env", env={"VERSION": "1"})
    host.handler("two", "GET /env", env={"VERSION": "1"})
    host.start()
    away = host.folder / "away"
    os.rename(host.folder / "handlers", away)
    host.until(lambda: has_alert(host), "raises no alert")
    assert version_of(host.ask("env")) == "1"
    os.rename(away, host.folder / "handlers")
    host.until(lambda: not has_alert(host), "keeps the alert")
    assert version_of(host.ask("two")) == "1"
    os.rename(host.folder / "handlers", away)
    host.until(lambda: has_alert(host), "raises no alert")
    host.process.send_signal(signal.SIGHUP)
    host.until(lambda: not metric(host, r"callgate_handler_version\{"), "does not take the operator's word")


def test_one_tenants_deletions_keep_no_other_tenant_from_deleting(host):
    host.handler("env", "GET /env", env={"VERSION": "1"})
    host.handler("two", "GET /env", env={"VERSION": "1"})
    other = host.neighbour("deploy-b")
    manifests = [host.folder / "handlers" / other.tenant / f"h{number}.toml" for number in range(5)]
    for manifest in manifests:
        other.handler(manifest.stem, "GET /env", env={"VERSION": "b"})
    host.configure(tenants={host.tenant: {}, other.tenant: {}})
    host.start()
    # A heap of files that never were a handler is no loss to anybody.
    broken = [manifests[0].with_name(f"broken{number}.toml") for number in range(20)]
    for manifest in broken:
        manifest.write_text("x")
    host.until(lambda: host.get("/metrics")[1].count("config.syntax") == len(broken), "does not refuse them")
    for manifest in broken:
        manifest.unlink()
    host.until(lambda: "config.syntax" not in host.get("/metrics")[1], "does not let go of them")
    assert "deploy.handlers-missing" not in host.log()
    # Most of all handlers are one, and they are all the other tenant's.
    for manifest in manifests:
        manifest.unlink()
    host.until(lambda: has_alert(host), "raises no alert")
    (host.home / "two.toml").unlink()
    host.until(lambda: gone("two", host), "lets one tenant's alert keep another tenant's handler")
    assert has_alert(host) and not gone("h0", host)
    assert version_of(other.ask("h0")) == "b"


def test_a_version_that_is_replaced_before_it_ran_is_skipped_and_named(host):
    host.handler("env", "GET /env", env={"VERSION": "1"})
    host.start()
    slow = (GUESTS / "coffee-js.wasm").read_bytes()

    def is_skipped():
        # Each counts after a second, and takes several to compile.
        (host.home / ".new").write_bytes(other_bytes(slow))
        (host.home / ".new").rename(host.home / "mischief.wasm")
        return re.search(r"a version is skipped.* handler=env version=sha256:[0-9a-f]{64}", host.log())

    host.until(is_skipped, "skips no version", pause=1.5)
    assert version_of(host.ask("env")) == "1"
