//! Kafka as its users use it, with the host's client settings (`broker/settings.rs`): what a record asks for, and the
//! reply that it gets.

use std::error::Error;
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};

pub(crate) type Producer = ThreadedProducer<Acknowledged>;

/// A member of a group, which begins at the first record of a topic.
///
/// # Errors
///
/// librdkafka's.
pub(crate) fn consumer(bootstrap: &str, group: &str, topic: &str) -> Result<BaseConsumer, KafkaError> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("check.crcs", "true")
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.max.bytes", "16777216")
        .create()?;
    consumer.subscribe(&[topic])?;
    Ok(consumer)
}

/// An idempotent producer; transactional where there is an id.
///
/// # Errors
///
/// librdkafka's.
pub(crate) fn producer(bootstrap: &str, transactional_id: Option<&str>) -> Result<Producer, KafkaError> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("linger.ms", "0")
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("partitioner", "murmur2_random");
    match transactional_id {
        Some(id) => config.set("transactional.id", id),
        None => config.set("message.timeout.ms", "0"),
    };
    config.create_with_context(Acknowledged)
}

/// What a record says about its reply.
pub(crate) struct Request<'a> {
    pub(crate) reply_to: &'a str,
    pub(crate) correlation_id: &'a [u8],
}

impl<'a> Request<'a> {
    /// # Errors
    ///
    /// Where the record has no return address.
    pub(crate) fn of(message: &'a BorrowedMessage<'_>) -> Result<Self, Box<dyn Error>> {
        let (mut reply_to, mut correlation_id) = (None, None);
        for header in message.headers().into_iter().flat_map(Headers::iter) {
            match header.key {
                "reply-to" => reply_to = header.value,
                "correlation-id" => correlation_id = header.value,
                _ => {}
            }
        }
        let reply_to = str::from_utf8(reply_to.ok_or("a record without `reply-to`")?)?;
        Ok(Self { reply_to, correlation_id: correlation_id.unwrap_or_default() })
    }
}

/// Sends a reply, and waits while the producer's queue is full. The token is dropped when it is acknowledged.
///
/// # Errors
///
/// librdkafka's, where it does not even take it.
pub(crate) fn reply(
    producer: &Producer,
    request: &Request<'_>,
    key: &[u8],
    status: &str,
    value: &[u8],
    token: Arc<()>,
) -> Result<(), KafkaError> {
    let headers = OwnedHeaders::new_with_capacity(2)
        .insert(Header { key: "status-code", value: Some(status.as_bytes()) })
        .insert(Header { key: "correlation-id", value: Some(request.correlation_id) });
    let mut record = BaseRecord::with_opaque_to(request.reply_to, token).key(key).payload(value).headers(headers);
    while let Err((error, back)) = producer.send(record) {
        if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
            return Err(error);
        }
        record = back;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

pub(crate) struct Acknowledged;

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = Arc<()>;

    fn delivery(&self, result: &DeliveryResult<'_>, _token: Arc<()>) {
        if let Err((error, _)) = result {
            eprintln!("a reply was not delivered: {error}");
            process::exit(1);
        }
    }
}
