"""What a stranger's client does with topics: librdkafka through confluent-kafka, not the host's own code."""

import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from kafka import wire

PATIENCE = 240
"""Seconds after which a test gives up. It says nothing about how long something should take."""

NEW = 10
"""Seconds in which a broker may not know yet that it leads a new partition."""

AWAY = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._UNKNOWN_PARTITION,
        KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.LEADER_NOT_AVAILABLE)
"""What a reader is told while the broker is away, comes back, or is late with its heartbeats."""


@dataclass(frozen=True)
class Record:
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)

    def all(self, name):
        return [value for key, value in self.headers if key == name]

    def header(self, name):
        """The value of a header that is there once, or None."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} is there {len(values)} times: {self.headers}"
        return values[0] if values else None

    def text(self, name):
        value = self.header(name)
        return None if value is None else value.decode()

    @classmethod
    def of(cls, message):
        return cls(message.topic(), message.partition(), message.offset(), message.timestamp()[1],
                   message.key(), message.value(), message.headers() or [])


class Client:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.settings = {"bootstrap.servers": bootstrap, "log_level": 0}
        self.admin = AdminClient(self.settings)
        # Not the partitioner of Java, so that a reply's partition is never right by chance. Idempotent, so that what is
        # there twice was not sent twice by the test.
        self.producer = Producer({**self.settings, "linger.ms": 0, "partitioner": "consistent_random",
                                  "enable.idempotence": True, "message.max.bytes": 64 * 1024 * 1024})
        self._logs = {}

    def create(self, *topics, partitions=1, **config):
        settings = {name.replace("_", "."): str(value) for name, value in config.items()}
        made = self.admin.create_topics([NewTopic(topic, partitions, config=settings) for topic in topics])
        for future in made.values():
            try:
                future.result(PATIENCE)
            except KafkaException as error:
                # The names are new each time; where the client had to ask again, it finds what it has made.
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise

    def configure(self, topic, **config):
        entries = [ConfigEntry(name.replace("_", "."), str(value), incremental_operation=AlterConfigOpType.SET)
                   for name, value in config.items()]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        for future in self.admin.incremental_alter_configs([resource]).values():
            future.result(PATIENCE)

    def delete(self, *topics):
        for future in self.admin.delete_topics(list(topics)).values():
            future.result(PATIENCE)

    def delete_records(self, topic, partition, below):
        self.admin.delete_records([TopicPartition(topic, partition, below)])[TopicPartition(topic, partition)] \
            .result(PATIENCE)

    def set_offset(self, group, topic, partition, offset, metadata=""):
        """What a person does while no member of the group is there."""
        consumer = Consumer({**self.settings, "group.id": group})
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                consumer.commit(offsets=[TopicPartition(topic, partition, offset, metadata)], asynchronous=False)
                break
            except KafkaException as error:
                # The last member has left without an answer of the broker, which still waits for it.
                if error.args[0].code() != KafkaError.UNKNOWN_MEMBER_ID or time.monotonic() > give_up:
                    raise
                time.sleep(0.2)
        consumer.close()

    def topics(self):
        return self.admin.list_topics(timeout=PATIENCE).topics

    def send(self, topic, value=b"", key=None, headers=(), partition=-1):
        """Returns the record as it stands in its topic."""
        return self.send_all(topic, [{"value": value, "key": key, "headers": headers, "partition": partition}])[0]

    def send_all(self, topic, records):
        """Many at once: dictionaries of value, key, headers, partition and timestamp."""
        acknowledged = [None] * len(records)

        def acknowledge(index):
            def note(error, message):
                if error is not None:
                    raise KafkaException(error)
                acknowledged[index] = message
            return note

        for index, record in enumerate(records):
            while True:
                try:
                    self.producer.produce(topic, record.get("value", b""), record.get("key"),
                                          record.get("partition", -1), on_delivery=acknowledge(index),
                                          timestamp=record.get("timestamp", 0),
                                          headers=list(record.get("headers", ())))
                    break
                except BufferError:
                    self.producer.poll(0.1)
        self.producer.flush(PATIENCE)
        return [Record(topic, message.partition(), message.offset(), message.timestamp()[1], record.get("key"),
                       record.get("value", b""), list(record.get("headers", ())))
                for message, record in zip(acknowledged, records)]

    def log(self, topic, read=Record.of):
        """A topic's log; `read` makes of each message what is kept of it, and is the same each time."""
        if topic not in self._logs:
            self._logs[topic] = Log(self, topic, read)
        return self._logs[topic]

    def close_logs(self):
        while self._logs:
            self._logs.popitem()[1].close()

    def consumer(self):
        return Consumer({**self.settings, "group.id": f"reader-{uuid.uuid4()}", "enable.auto.commit": False,
                         "isolation.level": "read_committed", "auto.offset.reset": "earliest",
                         "enable.partition.eof": True})

    def partitions(self, topic):
        give_up = time.monotonic() + PATIENCE
        while not (partitions := self.admin.list_topics(topic, timeout=PATIENCE).topics[topic].partitions):
            # One that was made just now need not be known to the broker yet.
            assert time.monotonic() < give_up, f"there is no topic {topic}"
            time.sleep(0.1)
        return sorted(partitions)

    def size(self, topic):
        """How many records have been written to a topic, markers of transactions counted."""
        return sum(self.ends(topic).values())

    def stable_size(self, topic):
        """How many of them can be read by whoever sees only what is committed."""
        return sum(self.ends(topic, IsolationLevel.READ_COMMITTED).values())

    def ends(self, topic, level=IsolationLevel.READ_UNCOMMITTED):
        """Where each partition of a topic ends."""
        asked = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in self.partitions(topic)}
        give_up = time.monotonic() + NEW
        while True:
            answer = self.admin.list_offsets(asked, isolation_level=level)
            try:
                return {at.partition: future.result(PATIENCE).offset for at, future in answer.items()}
            except KafkaException as error:
                if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION or time.monotonic() > give_up:
                    raise
                time.sleep(0.1)

    def committed(self, group, topic):
        """The offset of each partition from which a group would go on; 0 where it has committed none."""
        known = self.commits(group, topic)
        return {partition: known[partition][0] for partition in self.partitions(topic)}

    def commits(self, group, topic):
        """Offset and metadata that a group has committed for each partition; 0 and None where it has committed none.

        The client would take metadata to end with a NUL, which is not there, and read on.
        """
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                return defaultdict(lambda: (0, None), wire.commits(self.bootstrap, group, topic))
            except wire.NoAnswer:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.1)


class Log:
    """All that a topic holds, read as it grows; what was not committed in a transaction is not seen."""

    def __init__(self, client, topic, read):
        self.topic = topic
        self.records = []
        self._read = read
        self._told = 0
        self._next = dict.fromkeys(client.partitions(topic), 0)
        self._consumer = client.consumer()
        self._consumer.assign([TopicPartition(topic, partition, 0) for partition in self._next])

    def find(self, matches, patience=PATIENCE):
        """The first record that matches, awaited."""
        looked_at = 0
        give_up = time.monotonic() + patience
        while time.monotonic() < give_up:
            for record in self.records[looked_at:]:
                looked_at += 1
                if matches(record):
                    return record
            self._take(0.5)
        seen = "\n".join(f"  {record}"[:400] for record in self.records[-5:])
        raise AssertionError(f"not found in {self.topic} after {patience} s; of {len(self.records)}, the last:\n{seen}")

    def at_least(self, count):
        """Waits until the topic holds so many."""
        give_up = time.monotonic() + PATIENCE
        while len(self.records) < count:
            assert time.monotonic() < give_up, f"{self.topic} holds {len(self.records)} records, not {count}"
            self._take(0.5)
        return self.all()

    def all(self):
        """Everything up to the end that the topic has now."""
        self._catch_up()
        return list(self.records)

    def new(self):
        """What has come since the last time, up to the end that the topic has now."""
        self._catch_up()
        told, self._told = self._told, len(self.records)
        return self.records[told:]

    def has_read(self, ends):
        """Whether each partition has been read up to there."""
        return all(self._next[partition] >= end for partition, end in ends.items())

    def close(self):
        self._consumer.close()

    def _catch_up(self):
        for partition in self._next:
            end = self._end(partition)
            while self._next[partition] < end:
                self._take(0.1)

    def _end(self, partition):
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                return self._consumer.get_watermark_offsets(TopicPartition(self.topic, partition), 5)[1]
            except KafkaException:
                if time.monotonic() > give_up:
                    raise
                self._learn()

    def _learn(self):
        """Has the client ask for the topic: when a broker was away, it may believe for minutes that there is none."""
        time.sleep(0.1)
        try:
            self._consumer.list_topics(self.topic, timeout=5)
        except KafkaException:
            pass

    def _take(self, seconds):
        # `consume` alone would wait for all thousand of them.
        first, failed = self._consumer.poll(seconds), None
        for message in [] if first is None else [first, *self._consumer.consume(1000, 0)]:
            error = message.error()
            if error is None:
                self._next[message.partition()] = message.offset() + 1
                self.records.append(self._read(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                # Where the last thing in a partition is a transaction's marker, only this tells that it was passed.
                self._next[message.partition()] = message.offset()
            elif error.code() not in AWAY:
                failed = error  # raised when the others of this batch have been taken
        if failed:
            raise KafkaException(failed)
