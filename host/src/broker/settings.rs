//! What every client of ours is set to: the settings that are promises of the product, and the operator's own.

use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::producer::BaseProducer;
use rdkafka::types::RDKafkaConfRes;

/// Bytes that a producer's queue takes at most while the broker is slower than the handlers.
pub const PRODUCER_BUFFER: usize = 64 << 20;

/// Bytes that a consumer fetches ahead for each partition: its queue, and one fetch beyond. A record that is larger comes
/// alone.
pub const FETCHED_AHEAD: usize = 2 << 20;

/// How long the broker keeps a transaction open whose producer says nothing any more. So long whoever takes a partition
/// over may have to wait after a crash.
pub(super) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Heartbeats that a session must have room for, as Kafka's own documentation advises.
const HEARTBEATS: u64 = 3;

/// How to reach the brokers, and as whom: one tenant's, or the operator's for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// `host:port`, comma-separated.
    pub bootstrap_servers: String,
    /// librdkafka's own names and values, already checked: nothing here breaks a promise.
    pub properties: Vec<(String, String)>,
    /// The embedded broker of `callgate dev`: topics are made on demand, and idle fetches must be short.
    pub embedded: bool,
}

impl ClientSettings {
    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", "callgate")
            // A broker that restarts is back within seconds: do not wait 10 s for the next attempt.
            .set("reconnect.backoff.max.ms", "1000")
            // New partitions, and topics that appear after the host has started.
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set_log_level(RDKafkaLogLevel::Info);
        if !self.properties.iter().any(|(name, _)| name.starts_with("ssl.ca.")) {
            // The OpenSSL that is built in knows no path of this system: look at the usual places.
            config.set("ssl.ca.location", "probe");
        }
        config
    }

    fn with_properties(&self, mut config: ClientConfig) -> ClientConfig {
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    /// A member of `group_id`; `instance_id` makes it a static one.
    pub(super) fn consumer(&self, group_id: &str, instance_id: Option<&str>) -> ClientConfig {
        let mut config = self.base();
        config
            // A killed host's partitions wait this long for another: 10 s, Kafka's default until 3.0, instead of 45 s.
            .set("session.timeout.ms", "10000")
            // A rebalance is learned of at the next heartbeat.
            .set("heartbeat.interval.ms", "500")
            // Counts for each partition, since each has its queue; beyond it that partition is not fetched.
            .set("queued.max.messages.kbytes", "1024")
            // A queue that was full is looked at again this soon; the default of 1 s would starve a fast handler.
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.max.bytes", "16777216");
        if self.embedded {
            // The embedded broker does not wake a waiting fetch when a record arrives.
            config.set("fetch.wait.max.ms", "10");
        }
        let mut config = self.with_properties(config);
        config
            .set("group.id", group_id)
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // Never skip or repeat in silence: an offset that does not exist stops its partition.
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("allow.auto.create.topics", if self.embedded { "true" } else { "false" });
        if let Some(instance_id) = instance_id {
            config.set("group.instance.id", instance_id);
        }
        config
    }

    /// The producer of replies and dead letters.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.base();
        config.set("linger.ms", "0").set("queue.buffering.max.kbytes", (PRODUCER_BUFFER >> 10).to_string());
        let mut config = self.with_properties(config);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // A topic that was deleted under the producer is refused after this long instead of 30 s: a lane waits for it.
            .set("topic.metadata.propagation.max.ms", "5000")
            // A time-out is not a refusal: what is accepted is sent until the broker takes or refuses it.
            .set("message.timeout.ms", "0")
            // Java's, so that replies go where the requester's clients expect the key.
            .set("partitioner", "murmur2_random")
            // The topic's own limit decides, not the client's.
            .set("message.max.bytes", "1000000000")
            // A return address must never make a topic.
            .set("allow.auto.create.topics", if self.embedded { "true" } else { "false" });
        config
    }

    /// The producer of whole transactions.
    pub(super) fn transactional_producer(&self, transactional_id: &str) -> ClientConfig {
        let timeout = TRANSACTION_TIMEOUT.as_millis().to_string();
        let mut config = self.producer();
        config
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", &timeout)
            // What is not acknowledged by then is aborted with its transaction, and written again.
            .set("message.timeout.ms", &timeout)
            .set("socket.timeout.ms", &timeout)
            // The broker may still be at the last transaction's end when the next one begins.
            .set("retry.backoff.ms", "10");
        config
    }

    /// For questions about topics, and for making dead-letter topics.
    pub(super) fn admin(&self) -> ClientConfig {
        self.with_properties(self.base())
    }

    /// Whether batches are compressed, so that the size of a record says little about what the broker gets.
    pub(super) fn compresses(&self) -> bool {
        self.properties
            .iter()
            .any(|(name, value)| (name == "compression.type" || name == "compression.codec") && value != "none")
    }
}

/// What librdkafka has against a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyRefusal {
    /// It has none of that name.
    Unknown,
    /// It does not take the value.
    Invalid,
}

/// Whether librdkafka knows the property and takes the value.
///
/// # Errors
/// What it has against it.
pub fn check_property(name: &str, value: &str) -> Result<(), PropertyRefusal> {
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => Err(PropertyRefusal::Unknown),
        Err(_) => Err(PropertyRefusal::Invalid),
    }
}

/// Whether librdkafka takes all of these properties together, in each kind of client that the host has. Makes the clients,
/// without brokers, and drops them.
///
/// # Errors
/// Its own sentence, or ours on what it takes and the broker would not.
pub fn check_properties(properties: &[(&str, &str)]) -> Result<(), String> {
    let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let settings = ClientSettings { bootstrap_servers: String::new(), properties, embedded: false };
    let consumer = settings.consumer("callgate", None);
    let milliseconds = |name| consumer.get(name).and_then(|value: &str| value.parse::<u64>().ok());
    if let (Some(session), Some(heartbeat)) =
        (milliseconds("session.timeout.ms"), milliseconds("heartbeat.interval.ms"))
        && session < HEARTBEATS * heartbeat
    {
        return Err(format!(
            "`session.timeout.ms` is {session}, and must be at least {HEARTBEATS} times `heartbeat.interval.ms`, which is \
             {heartbeat}: else one that is late costs the member its partitions"
        ));
    }
    let without_brokers = |mut config: ClientConfig| {
        config.remove("bootstrap.servers");
        config.set_log_level(RDKafkaLogLevel::Emerg);
        config
    };
    let refused = |error: KafkaError| match error {
        KafkaError::ClientCreation(reason) => reason,
        error => error.to_string(),
    };
    without_brokers(consumer).create::<BaseConsumer>().map_err(refused)?;
    without_brokers(settings.producer()).create::<BaseProducer>().map_err(refused)?;
    without_brokers(settings.transactional_producer("callgate")).create::<BaseProducer>().map_err(refused)?;
    Ok(())
}
