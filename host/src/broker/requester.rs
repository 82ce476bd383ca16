//! A requester in the sense of request-reply: sends one record with a return address and waits for the reply.
//! What `callgate call` is made of.

use std::sync::Mutex;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use callgate_core::record::{OutgoingRecord, Record};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::native;
use super::producer::{DeliveryError, Producer, Shipment};
use super::settings::ClientSettings;

/// Longer than a broker takes that has just made a topic.
const METADATA_PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);

struct Sent {
    record: OutgoingRecord,
    told: Mutex<Option<mpsc::Sender<Result<(), DeliveryError>>>>,
}

impl Shipment for Sent {
    fn record(&self) -> &OutgoingRecord {
        &self.record
    }

    fn delivered(self: Box<Self>, result: Result<(), DeliveryError>) {
        if let Some(told) = self.told.into_inner().ok().flatten() {
            // Nobody listens any more if it took longer than the timeout.
            let _ = told.send(result);
        }
    }
}

/// Sends requests, and reads a topic of replies from its end on.
pub struct Requester {
    settings: ClientSettings,
    producer: Producer<Sent>,
    replies: Option<BaseConsumer>,
}

impl Requester {
    /// Connects, and looks whether the request's topic is there, at most for `timeout`.
    ///
    /// # Errors
    /// A sentence: what the broker or the client refuses.
    pub fn new(settings: &ClientSettings, topic: &str, timeout: Duration) -> Result<Self, String> {
        let producer = Producer::new(settings)?;
        producer.partitions(topic, timeout.min(METADATA_PATIENCE)).map_err(|error| match error {
            DeliveryError::Topic(_) => format!("the broker refuses the topic {topic}: {error}"),
            error => format!("no broker answers at {}: {error}", settings.bootstrap_servers),
        })?;
        Ok(Self { settings: settings.clone(), producer, replies: None })
    }

    /// Begins to read the replies' topic, which is made if it is missing. To be called before the request is sent.
    ///
    /// # Errors
    /// A sentence: what the broker or the client refuses.
    pub fn listen(&mut self, reply_topic: &str) -> Result<(), String> {
        let mut config = self.settings.consumer("callgate-call", None);
        // The embedded broker makes topics when they are asked for, and its idle fetches are not woken.
        config.set("allow.auto.create.topics", "true").set("fetch.wait.max.ms", "10");
        let replies: BaseConsumer = config.create().map_err(|error| error.to_string())?;
        let partitions = partitions(&replies, &self.settings, reply_topic)?;
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            let (_, end) = replies
                .fetch_watermarks(reply_topic, partition, METADATA_PATIENCE)
                .map_err(|error| format!("cannot read the end of {reply_topic}-{partition}: {error}"))?;
            list.add_partition_offset(reply_topic, partition, Offset::Offset(end))
                .map_err(|error| error.to_string())?;
        }
        replies.assign(&list).map_err(|error| error.to_string())?;
        self.replies = Some(replies);
        Ok(())
    }

    /// Sends the request and waits until it is acknowledged.
    ///
    /// # Errors
    /// A sentence: what the broker says, or that it said nothing in time.
    pub fn send(&self, record: OutgoingRecord, timeout: Duration) -> Result<(), String> {
        let topic = record.topic.clone();
        let (told, fate) = mpsc::channel();
        let sent = Box::new(Sent { record, told: Mutex::new(Some(told)) });
        self.producer.send(sent).map_err(|_| "the client's queue is full".to_owned())?;
        match fate.recv_timeout(timeout) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("the broker refuses the request to {topic}: {error}")),
            Err(_) => Err(format!("the broker did not acknowledge the request to {topic} within {timeout:?}")),
        }
    }

    /// Waits for the first record of the topic listened to that is the one, at most until `deadline`.
    ///
    /// # Errors
    /// A sentence, where the topic cannot be read.
    pub fn wait(&self, deadline: Instant, is_it: impl Fn(&Record) -> bool) -> Result<Option<Record>, String> {
        let Some(replies) = &self.replies else { return Ok(None) };
        while Instant::now() < deadline {
            match replies.poll(POLL) {
                Some(Ok(message)) => {
                    let record = native::read_borrowed(&message);
                    if is_it(&record) {
                        return Ok(Some(record));
                    }
                }
                Some(Err(error)) => tracing::debug!(target: "callgate::broker", %error, "reading the replies"),
                None => {}
            }
        }
        Ok(None)
    }
}

fn partitions(client: &BaseConsumer, settings: &ClientSettings, topic: &str) -> Result<i32, String> {
    let deadline = Instant::now() + METADATA_PATIENCE;
    let mut made = false;
    loop {
        let metadata = client
            .fetch_metadata(Some(topic), METADATA_PATIENCE)
            .map_err(|error| format!("no broker answers at {}: {error}", settings.bootstrap_servers))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
        match found.map(|found| found.partitions().len()) {
            Some(count) if count > 0 => return Ok(i32::try_from(count).unwrap_or(i32::MAX)),
            _ if Instant::now() >= deadline => {
                return Err(format!("the reply topic {topic} is missing and cannot be made"));
            }
            _ if !made => {
                made = true;
                if let Err(error) = super::directory::create_topic(settings, topic, 1) {
                    tracing::debug!(target: "callgate::broker", error, topic, "cannot make the reply topic");
                }
            }
            _ => std::thread::sleep(POLL),
        }
    }
}
