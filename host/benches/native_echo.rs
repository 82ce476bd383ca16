//! The native echo: consumes a topic, and produces each value back to the topic that the record's `reply-to` names.
//!
//!     cargo bench --bench native_echo -- BOOTSTRAP GROUP TOPIC
//!
//! What the way from Kafka and back costs with nothing in between: rdkafka as its users use it, with the host's client
//! settings (`broker/settings.rs`) and the host's promise, at-least-once. `tests/bench.py` starts it, and stops it.

use std::convert::Infallible;
use std::error::Error;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, thread};

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};

const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let Ok([bootstrap, group, topic]) = <[String; 3]>::try_from(arguments) else {
        eprintln!("native_echo: wants BOOTSTRAP GROUP TOPIC");
        return ExitCode::from(2);
    };
    match run(&bootstrap, &group, &topic) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("native_echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(bootstrap: &str, group: &str, topic: &str) -> Result<Infallible, Box<dyn Error>> {
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
    let producer: ThreadedProducer<Acknowledged> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("linger.ms", "0")
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.timeout.ms", "0")
        .set("partitioner", "murmur2_random")
        .create_with_context(Acknowledged)?;
    consumer.subscribe(&[topic])?;

    // The replies of one interval share a token, so an interval whose token nobody else holds is acknowledged.
    let mut token = Arc::new(());
    let mut last = (token.clone(), consumer.position()?);
    let mut next_commit = Instant::now() + COMMIT_INTERVAL;
    loop {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            echo(&producer, &message?, &token)?;
        }
        if Instant::now() >= next_commit {
            next_commit += COMMIT_INTERVAL;
            let (sent, positions) = &last;
            if Arc::strong_count(sent) == 1 {
                consumer.commit(positions, CommitMode::Async)?;
                last = (std::mem::take(&mut token), consumer.position()?);
            }
        }
    }
}

fn echo(
    producer: &ThreadedProducer<Acknowledged>,
    message: &BorrowedMessage<'_>,
    token: &Arc<()>,
) -> Result<(), Box<dyn Error>> {
    let (mut reply_to, mut correlation_id) = (None, None);
    for header in message.headers().into_iter().flat_map(Headers::iter) {
        match header.key {
            "reply-to" => reply_to = header.value,
            "correlation-id" => correlation_id = header.value,
            _ => {}
        }
    }
    let reply_to = str::from_utf8(reply_to.ok_or("a record without `reply-to`")?)?;
    let headers = OwnedHeaders::new_with_capacity(2)
        .insert(Header { key: "status-code", value: Some("200") })
        .insert(Header { key: "correlation-id", value: correlation_id });
    let mut record = BaseRecord::with_opaque_to(reply_to, token.clone())
        .key(message.key().unwrap_or_default())
        .payload(message.payload().unwrap_or_default())
        .headers(headers);
    while let Err((error, back)) = producer.send(record) {
        if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
            return Err(error.into());
        }
        record = back;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

struct Acknowledged;

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = Arc<()>;

    fn delivery(&self, result: &DeliveryResult<'_>, _token: Arc<()>) {
        if let Err((error, _)) = result {
            eprintln!("native_echo: a reply was not delivered: {error}");
            process::exit(1);
        }
    }
}
