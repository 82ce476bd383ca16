"""What a group has committed, and somebody else has meddled with."""

import pytest
from mischief import answer

PARTITIONS = 2


@pytest.fixture
def host(new_host):
    host = new_host()
    host.handler("work", "POST /reply-with", partitions=PARTITIONS)
    yield host.start()
    host.discard()


def send(host, body, partition):
    return host.send("work", answer(body=body), partition=partition, headers=[("reply-to", host.replies.encode())])


def bodies(host):
    return [reply.value for reply in host.kafka.log(host.replies).all()]


def test_records_that_were_deleted_before_they_were_read(host):
    """Their partition stops and says so; it neither skips them in silence nor begins at the first that there is."""
    kafka, topic = host.kafka, host.topic("work")
    host.await_end(send(host, b"read", 0))
    assert host.stop() == 0
    send(host, b"deleted", 0)
    left = send(host, b"left", 0)
    kafka.delete_records(topic, 0, left.offset)
    host.start()
    host.until(lambda: f"{topic}-0 is stopped: offset out of range" in host.get("/readyz")[1], "does not say what is wrong")
    host.await_end(send(host, b"beside", 1))
    assert "run.offset-out-of-range" in host.log()
    assert kafka.committed(host.group, topic)[0] == 1
    assert bodies(host) == [b"read", b"beside"]
    assert host.stop() == 0

    # As the alert says: with no host running, a person sets the offset.
    kafka.set_offset(host.group, topic, 0, left.offset)
    host.start()
    host.await_end(left)
    assert bodies(host) == [b"read", b"beside", b"left"]


@pytest.mark.parametrize("metadata", [
    "of another consumer",
    "callgate/1:",
    "callgate/1:AAAA",
    "callgate/2:AAAA",
    "callgate/1:" + "/" * 3000,
    "\N{SNOWMAN}" * 100,
    "",
], ids=["somebody-elses", "empty", "too-short", "of-another-version", "corrupt", "not-ascii", "none"])
def test_metadata_that_is_not_ours_is_ignored(host, metadata):
    kafka, topic = host.kafka, host.topic("work")
    host.await_end(send(host, b"0", 0))
    assert host.stop() == 0
    again, more = send(host, b"1", 0), send(host, b"2", 0)
    kafka.set_offset(host.group, topic, 0, again.offset, metadata)
    host.start()
    host.await_end(more)
    assert bodies(host) == [b"0", b"1", b"2"]


def test_metadata_of_another_offset_is_ignored(host):
    """Whoever resets an offset wants those records again, whatever was said of them before."""
    kafka, topic = host.kafka, host.topic("work")
    sent = [send(host, b"%d" % number, 0) for number in range(3)]
    host.await_end(sent[-1])
    assert host.stop() == 0
    said = kafka.commits(host.group, topic)[0][1]
    kafka.set_offset(host.group, topic, 0, sent[1].offset, said)
    host.start()
    host.await_end(send(host, b"3", 0))
    assert bodies(host) == [b"0", b"1", b"2", b"1", b"2", b"3"]
