"""A batch of records that is damaged: its partition stops in front of it, and nothing behind it is taken for read."""

import signal

import pytest
from kafka.client import Client
from mischief import answer

MARK = b"this is damaged"


@pytest.fixture
def cluster(a_broker, proxy):
    cluster = a_broker(proxy=proxy.address)
    proxy.start(cluster.behind_proxy)
    yield cluster
    cluster.wipe()


@pytest.fixture
def host(cluster, proxy, new_host):
    """The host goes through the proxy, and nobody else does."""
    host = new_host(client=Client(cluster.bootstrap))
    host.configure(kafka={"bootstrap_servers": proxy.address})
    host.handler("work", "POST /reply-with", partitions=2)
    yield host
    host.discard()


def send(host, body, partition=0, mark=None):
    marked = [("mark", mark)] if mark else []
    return host.send("work", answer(body=body), partition=partition,
                     headers=[("reply-to", host.replies.encode()), *marked])


def bodies(host):
    return [reply.value for reply in host.kafka.log(host.replies).all()]


def await_stop(host, damaged):
    """Records before the damaged one and in other partitions end; those behind it do not."""
    host.until(lambda: f"{damaged.topic}-0 is stopped: the batch at offset {damaged.offset} cannot be read"
               in host.get("/readyz")[1], "does not say what is wrong")
    assert "run.batch-corrupt" in host.log()
    host.await_end(send(host, b"beside", partition=1))
    host.until(lambda: host.kafka.committed(host.group, damaged.topic)[0] == damaged.offset, "has not ended those before")
    assert b"behind" not in bodies(host)


def test_a_batch_that_is_damaged_on_its_way(host, proxy):
    send(host, b"before")
    damaged = send(host, b"damaged", mark=MARK)
    behind = send(host, b"behind")
    proxy.spoil(MARK)
    host.start()
    await_stop(host, damaged)

    # As the alert says: it can be read again.
    proxy.let_go()
    host.process.send_signal(signal.SIGHUP)
    host.await_end(behind)
    assert [body for body in bodies(host) if body != b"beside"] == [b"before", b"damaged", b"behind"]
    assert host.stop() == 0


def test_a_batch_that_is_damaged_at_the_broker(host, cluster):
    host.start()
    host.await_end(send(host, b"before"))
    assert host.stop() == 0
    damaged, behind = send(host, b"damaged", mark=MARK), send(host, b"behind")
    cluster.end()
    segment = cluster.data / "node-1" / f"{damaged.topic}-0" / f"{0:020}.log"
    stored = segment.read_bytes()
    assert stored.count(MARK) == 1
    segment.write_bytes(stored.replace(MARK, MARK.upper()))
    cluster.restart()
    host.start()
    await_stop(host, damaged)
    host.process.send_signal(signal.SIGHUP)
    host.until(lambda: host.log().count("run.batch-corrupt") == 2, "does not say again what is wrong")
    assert host.stop() == 0

    # As the alert says: with no host running, a person gives the batch up.
    host.kafka.set_offset(host.group, damaged.topic, 0, behind.offset)
    host.start()
    host.await_end(behind)
    assert [body for body in bodies(host) if body != b"beside"] == [b"before", b"behind"]
    assert host.stop() == 0
