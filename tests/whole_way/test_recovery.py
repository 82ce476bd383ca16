"""Hosts and brokers that die, stop and come back: no record is lost, and few come twice."""

import random
import signal
import subprocess
import time

import pytest
from host import CALLGATE
from kafka.client import PATIENCE, Client
from ledger import ROUTE, Ledger
from mischief import answer

QUICK_TAKEOVER = {"properties": {"session.timeout.ms": "3000", "heartbeat.interval.ms": "300"}}
PARTITIONS = 4


@pytest.fixture
def ledger(new_host):
    host = new_host(kafka=QUICK_TAKEOVER)
    host.handler("work", partitions=PARTITIONS, **ROUTE)
    yield Ledger(host, "work")
    host.discard()


def test_kill_in_the_middle(ledger):
    records, kills = 3000, 3
    ledger.host.start()
    ledger.send(records)
    for moment in sorted(random.sample(range(1, records * 9 // 10), kills)):
        ledger.kill(after=moment)
        ledger.host.start(ready=False)
    ledger.await_ends(records)
    ledger.assert_whole()
    await_no_lag(ledger)


def test_sigterm_in_the_middle_repeats_nothing(ledger):
    records = 3000
    ledger.host.start()
    ledger.send(records)
    for moment in (records // 4, records // 2):
        ledger.await_replies(moment)
        assert ledger.host.stop() == 0
        ledger.host.start(ready=False)
    ledger.await_ends(records)
    assert not ledger.assert_whole().repeated
    await_no_lag(ledger)
    assert ledger.host.stop() == 0


def test_another_host_takes_over(ledger):
    records = 2000
    ledger.host.start()
    twin = ledger.host.twin().start()
    ledger.send(records)
    ledger.kill(after=records // 4)
    ledger.await_ends(records, host=twin)
    ledger.assert_whole()
    assert twin.stop() == 0


def test_a_rebalance_skips_nothing_where_all_has_been_read(new_host):
    """The client fetches on from where it thinks that it has read to."""
    host = new_host(kafka=QUICK_TAKEOVER)
    host.handler("work", "POST /reply-with", partitions=2)
    host.start()

    def ask_both():
        records = [host.send("work", answer(), partition=partition, headers=[("reply-to", host.replies.encode())])
                   for partition in (0, 1)]
        for record in records:
            host.await_end(record)
        # So that the client asks for more in vain.
        time.sleep(2)

    ask_both()
    twin = host.twin().start()
    ask_both()
    assert twin.stop() == 0
    ask_both()
    assert len(host.kafka.log(host.replies).all()) == 6


def test_a_waiting_retry_keeps_nothing_else_from_being_done_once(new_host):
    """It holds back the committed offset of its partition, but what ended in the others is not done again."""
    host = new_host(kafka=QUICK_TAKEOVER)
    host.handler("work", "POST /reply-with", partitions=2, retry={"attempts": 2, "backoff": "1h", "max_backoff": "1h"})
    host.start()
    waiting = host.send("work", answer(503), partition=0, headers=[("reply-to", host.replies.encode())])
    done = [host.send("work", answer(), partition=1, headers=[("reply-to", host.replies.encode())]) for _ in range(20)]
    host.await_end(done[-1])
    assert host.stop() == 0
    assert host.kafka.committed(host.group, waiting.topic)[0] == waiting.offset
    host.start()
    host.await_end(host.send("work", answer(), partition=1, headers=[("reply-to", host.replies.encode())]))
    assert len(host.kafka.log(host.replies).all()) == len(done) + 1


def test_a_second_signal_ends_at_once(new_host):
    host = new_host(tenant={"max_deadline": "10m"})
    host.handler("sleep", "POST /sleep", deadline="5m", retry={"attempts": 1})
    host.handler("echo", "POST /echo")
    host.start()
    request = host.send("sleep")
    host.ask("echo")
    host.process.send_signal(signal.SIGTERM)
    host.until(lambda: host.get("/readyz")[0] != 200, "does not begin to stop")
    host.process.send_signal(signal.SIGTERM)
    host.process.wait(PATIENCE)
    assert host.kafka.committed(host.group, request.topic)[0] == request.offset


def test_a_stopped_host_goes_on_where_it_was(new_host):
    host = new_host()
    host.handler("work", "POST /reply-with")
    host.start()
    first = host.ask("work", answer(body=b"1"))
    assert host.stop() == 0
    while_away = host.send("work", answer(body=b"2"), headers=[("reply-to", host.replies.encode())])
    host.start()
    host.await_end(while_away)
    assert [reply.value for reply in host.kafka.log(host.replies).all()] == [first.value, b"2"]


# The broker


@pytest.fixture
def cluster(a_broker):
    cluster = a_broker()
    yield cluster
    cluster.wipe()


@pytest.fixture
def on_its_own_broker(cluster, new_host):
    host = new_host(client=Client(cluster.bootstrap))
    host.handler("work", partitions=PARTITIONS, **ROUTE)
    yield Ledger(host, "work")
    host.discard()


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_broker_restarts(cluster, on_its_own_broker, end):
    ledger, records = on_its_own_broker, 2000
    ledger.host.start()
    ledger.send(records)
    ledger.await_replies(records // 10)
    getattr(cluster, end)()
    cluster.restart()
    ledger.send(records // 10)
    ledger.await_ends(records + records // 10)
    ledger.assert_whole()
    assert ledger.host.stop() == 0


def test_a_broker_hangs_for_a_while(cluster, on_its_own_broker):
    ledger, records = on_its_own_broker, 2000
    ledger.host.start()
    ledger.send(records)
    ledger.await_replies(records // 10)
    # So long that the host may lose its partitions meanwhile: then what it had not committed comes again.
    ledger.checker.fault()
    cluster.pause()
    time.sleep(10)
    cluster.resume()
    ledger.await_ends(records)
    ledger.assert_whole()


def test_a_host_stops_while_its_broker_is_away(cluster, on_its_own_broker):
    host = on_its_own_broker.host.start()
    cluster.kill()
    host.stop()


def test_a_host_may_start_before_its_broker(cluster, on_its_own_broker):
    cluster.kill()
    on_its_own_broker.host.start(ready=False)
    cluster.restart()
    on_its_own_broker.send(50)
    on_its_own_broker.await_ends(50)
    on_its_own_broker.assert_whole()


def await_no_lag(ledger):
    ledger.host.until(ledger.checker.is_quiet, "has not committed all that it ended")


def test_a_log_that_nobody_reads_any_more_does_not_end_the_host(new_host):
    host = new_host()
    host.handler("reply", "POST /reply-with")
    host.process = subprocess.Popen([CALLGATE, "run", "--config", str(host.config)], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert host.process.stderr.readline()
    host.process.stderr.close()
    assert host.ask("reply", answer(body=b"hello")).value == b"hello"
    assert host.stop() == 0
