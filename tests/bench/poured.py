"""Throughput of what takes long to be ready: it is awaited, and only then the records come."""

import time

from kafka.client import PATIENCE

from .drain import LOOK_EVERY
from .orders import coffee_order
from .workbench import KEYS


def pour(kafka, topics, replies, count, serving):
    """Sends so many orders, to all topics in turn, and waits for the replies. The sender is not counted."""
    before, began, cpu = kafka.size(replies), time.monotonic(), serving.cpu_seconds()
    send(kafka.producer, topics, replies, count)
    give_up = time.monotonic() + PATIENCE
    while kafka.size(replies) - before < count:
        serving.check()
        assert time.monotonic() < give_up, f"{kafka.size(replies) - before} of {count} records are answered"
        time.sleep(LOOK_EVERY)
    return {"records_per_second": count / (time.monotonic() - began),
            "cpu_microseconds": (serving.cpu_seconds() - cpu) / count * 1e6,
            "peak_mebibytes": serving.peak_mebibytes()}


def send(producer, topics, replies, count):
    value = coffee_order()
    headers = [("content-type", b"application/json"), ("reply-to", replies.encode()),
               ("correlation-id", b"poured")]
    for number in range(count):
        while True:
            try:
                producer.produce(topics[number % len(topics)], value, f"table-{number % KEYS}".encode(), headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush(PATIENCE)
