#!/usr/bin/env python3
"""The whole way of a record, measured: the host beside what it cannot be cheaper than.

    make bench RECORDS=200000 REPEATS=3

One topic is filled with orders of 1 KiB. Then, in turn and several times over: `callgate run` has each of them answered
by the café's handler in Rust, a fresh instance a record; a native echo consumes the same records and produces their
values to the same reply topic; the same component is called in a loop with the request of such a record, without Kafka.

Of each: records a second, CPU of its own process a record, its memory at the peak. The first tenth of the records is
warm-up. All share the machine with the broker, so compare them with each other, and with nothing else.

Progress goes to stderr; a table and one line of JSON a figure to stdout.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from confluent_kafka import TopicPartition

from host import GUESTS, REPOSITORY, Host
from kafka.broker import BrokerError
from kafka.client import PATIENCE, Record
from kill_run import a_broker

PARTITIONS = 6
TABLES = 1000
AT_ONCE = 5000
ORDER_BYTES = 1024
WARM_UP = 0.1
LOOK_EVERY = 0.05
BARE_SECONDS = 5
EXPECTED = 1.5
"""The host's CPU a record, in terms of the echo's and the call's together."""


@dataclass
class Figure:
    contender: str
    records_per_second: float
    cpu_microseconds: float
    peak_mebibytes: float | None = None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    programs = build()
    with tempfile.TemporaryDirectory() as folder, a_broker(folder) as kafka:
        host = Host(folder, kafka, "bench", {})
        host.executable = programs["callgate"]
        topic = host.handler("coffee", "POST /tables/{table}/orders", "coffee-rust", PARTITIONS, path={"table": "key"})
        replies = host.topic("answers")
        kafka.create(replies, partitions=PARTITIONS)
        fill(kafka, topic, replies, options.records)
        figures = []
        for repeat in range(options.repeats):
            for contender in (
                lambda: callgate(host, replies, options.records),
                lambda: native_echo(programs["native_echo"], kafka, topic, replies, options.records),
                lambda: bare_call(programs["bare_call"]),
            ):
                figures.append(contender())
                progress(f"{repeat + 1}/{options.repeats}  {line(figures[-1])}")
        report(figures)


def build():
    """The contenders' programs, built for a release, by their names."""
    progress("building")
    command = ["cargo", "build", "--release", "--locked", "--package", "callgate", "--bin", "callgate",
               "--bench", "native_echo", "--bench", "bare_call", "--message-format", "json-render-diagnostics"]
    output = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True).stdout
    artifacts = [json.loads(message) for message in output.splitlines()]
    return {artifact["target"]["name"]: artifact["executable"] for artifact in artifacts if artifact.get("executable")}


def fill(kafka, topic, replies, count):
    progress(f"{count} records of {ORDER_BYTES} bytes into {PARTITIONS} partitions")
    value = coffee_order()
    for first in range(0, count, AT_ONCE):
        kafka.send_all(topic, [{
            "key": f"table-{number % TABLES}".encode(), "value": value, "headers": [
                ("content-type", b"application/json"), ("reply-to", replies.encode()),
                ("correlation-id", uuid.uuid4().hex.encode())],
        } for number in range(first, min(first + AT_ONCE, count))])


def coffee_order():
    """An order as the café's handler takes it."""
    notes = "one sugar, no lid, and a glass of water please; " * 22
    order = {"drink": "flat white", "size": "large", "notes": ""}
    order["notes"] = notes[:ORDER_BYTES - len(json.dumps(order))]
    return json.dumps(order).encode()


# The contenders


def callgate(host, replies, count):
    host.configure(kafka={"group_id": f"bench-{uuid.uuid4().hex[:8]}"})
    before = host.kafka.size(replies)
    host.start(ready=False)
    try:
        figure = observe("callgate", host.process, host.kafka, replies, before, count)
        host.stop()
    except AssertionError as error:
        raise AssertionError(f"{error}:\n{host.log()[-3000:]}") from error
    finally:
        host.discard()
    status = last_reply(host.kafka, replies).text("status-code")
    assert status == "201", f"the handler answered {status}"
    return figure


def native_echo(program, kafka, topic, replies, count):
    before = kafka.size(replies)
    process = subprocess.Popen([program, kafka.bootstrap, f"echo-{uuid.uuid4().hex[:8]}", topic])
    try:
        return observe("native echo", process, kafka, replies, before, count)
    finally:
        process.kill()
        process.wait()


def bare_call(program):
    """On as many threads as the host has workers."""
    command = [program, str(GUESTS / "coffee-rust.wasm"), "--threads", str(os.cpu_count()), "--seconds",
               str(BARE_SECONDS), "--json"]
    told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return Figure("bare call", told["calls_per_second"], told["cpu_microseconds"])


def observe(contender, process, kafka, replies, before, count):
    """Looks on until the last reply is there."""
    give_up = time.monotonic() + PATIENCE + count / 1000
    began = None
    while True:
        now, there, cpu = time.monotonic(), kafka.size(replies) - before, cpu_seconds(process.pid)
        if began is None and there >= WARM_UP * count:
            began = now, there, cpu
        if there >= count:
            break
        assert process.poll() is None, f"{contender} ended with status {process.returncode}"
        assert now < give_up, f"{contender} has answered {there} of {count} records"
        time.sleep(LOOK_EVERY)
    answered = there - began[1]
    return Figure(contender, answered / (now - began[0]), (cpu - began[2]) / answered * 1e6, peak_mebibytes(process.pid))


def last_reply(kafka, topic):
    """Some reply of the last batches: the end of one partition."""
    consumer = kafka.consumer()
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), PATIENCE)
        consumer.assign([TopicPartition(topic, 0, end - 1)])
        return Record.of(consumer.poll(PATIENCE))
    finally:
        consumer.close()


def cpu_seconds(pid):
    """User and system time of all threads of a process, from proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mebibytes(pid):
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


# The report


def report(figures):
    medians = {}
    print(f"{'':12}{'records/s':>12}{'CPU µs/record':>30}{'peak MiB':>10}")
    for contender in dict.fromkeys(figure.contender for figure in figures):
        of_it = [figure for figure in figures if figure.contender == contender]
        cpu = [figure.cpu_microseconds for figure in of_it]
        medians[contender] = statistics.median(cpu)
        peaks = [figure.peak_mebibytes for figure in of_it if figure.peak_mebibytes]
        print(f"{contender:12}{statistics.median(figure.records_per_second for figure in of_it):12,.0f}"
              f"{medians[contender]:14.1f} ({min(cpu):5.1f} to {max(cpu):5.1f})"
              f"{f'{max(peaks):10.0f}' if peaks else ''}")
    for figure in figures:
        print(json.dumps(asdict(figure)))
    ratio = medians["callgate"] / (medians["native echo"] + medians["bare call"])
    print(f"CPU of callgate / (native echo + bare call): {ratio:.2f} (expected: at most {EXPECTED})")


def line(figure):
    return f"{figure.contender:12}{figure.records_per_second:10,.0f} records/s{figure.cpu_microseconds:8.1f} µs/record"


def progress(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except (BrokerError, AssertionError) as error:
        sys.exit(f"bench.py: {error}")
