"""Routes by pattern: which topics they get, and which they never do."""

from mischief import answer


def matching(new_host, pattern, **route):
    """A host with one route, for all topics that match; the tenant's name comes first."""
    host = new_host()
    prefix = f"{host.tenant}\\.".replace("-", "\\-")
    host.handler("reply", "POST /reply-with", topic_pattern=prefix + pattern, **route)
    return host


def test_topics_are_found_at_start_and_later(new_host):
    host = matching(new_host, r"orders\..*")
    host.kafka.create(host.topic("orders.early"))
    host.start()
    assert host.ask("orders.early", answer(body=b"early")).value == b"early"
    host.kafka.create(host.topic("orders.late"))
    assert host.ask("orders.late", answer(body=b"late")).value == b"late"


def test_dead_letters_are_no_new_requests(new_host):
    host = matching(new_host, ".*", exclude=[])
    host.kafka.create(host.topic("orders"))
    host.start()
    record = host.send("orders", b"no wish that mischief could fulfil")
    assert host.dead_letter(record).text("x-callgate-dlt-topic") == host.topic("orders")
    host.await_end(record)
    # A second record goes the same way, so that what the first dead letter could have caused has had its time.
    host.dead_letter(host.send("orders", b"nor is this"))
    assert f"{host.topic('orders')}-dlt-dlt" not in host.kafka.topics()
