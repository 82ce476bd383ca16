//! The producer of a client set: hands records to librdkafka in order, and reports each one's fate exactly once.

mod gathering;

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use callgate_core::record::OutgoingRecord;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{Producer as _, ProducerContext, ThreadedProducer};

use self::gathering::{Departure, Gathering, OnTheirWay};
use super::native;
use super::settings::ClientSettings;

/// A record on its way to a topic, and who waits for it to arrive.
pub trait Shipment: Send + Sync + 'static {
    /// What is sent.
    fn record(&self) -> &OutgoingRecord;

    /// How long it may be kept back, so that others join its batch.
    fn haste(&self) -> Haste {
        Haste::Soon
    }

    /// Whether it must not be sent any more: then it is dropped instead, and has no fate.
    fn is_obsolete(&self) -> bool {
        false
    }

    /// Its fate: acknowledged by all in-sync replicas, or not. Runs on the producer's thread, so it must not wait.
    fn delivered(self: Box<Self>, result: Result<(), DeliveryError>);
}

/// How long a shipment may be kept back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Haste {
    /// Until others are with it, for nobody notices.
    Later,
    /// For a moment, while much is sent.
    Soon,
    /// Not at all: it may overtake whatever is kept back.
    Now,
}

/// Why a record was not delivered, judged by what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryError {
    /// The broker refused the batch, perhaps for a neighbour's sake: sent alone, the record may well pass.
    Batch(RDKafkaErrorCode),
    /// Time, transport or the client itself; the same record may be sent again.
    Transient(RDKafkaErrorCode),
    /// The topic or partition is missing, or writing there is forbidden.
    Topic(RDKafkaErrorCode),
}

impl DeliveryError {
    pub(super) fn judge(code: RDKafkaErrorCode) -> Self {
        use RDKafkaErrorCode as Code;
        match code {
            Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidRecord
            | Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::InvalidTimestamp
            | Code::PolicyViolation
            | Code::BadMessage => Self::Batch(code),
            Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::InvalidTopic
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed => Self::Topic(code),
            code => Self::Transient(code),
        }
    }

    /// Nobody will ever tell: the client that was asked is gone.
    pub fn lost() -> Self {
        Self::Transient(RDKafkaErrorCode::PurgeQueue)
    }

    /// Whether there is no such topic or partition, as far as the client or the broker knows by now.
    pub fn is_missing(&self) -> bool {
        use RDKafkaErrorCode as Code;
        matches!(self, Self::Topic(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition))
    }

    /// Whether the record is older or newer than the topic takes.
    pub fn is_of_another_time(&self) -> bool {
        matches!(self, Self::Batch(RDKafkaErrorCode::InvalidTimestamp))
    }

    /// Whether the record is too large for the topic.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Batch(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge))
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Batch(code) | Self::Transient(code) | Self::Topic(code)) = self;
        write!(f, "{code}")
    }
}

pub(super) struct Context<S> {
    on_their_way: OnTheirWay,
    shipments: PhantomData<fn(S)>,
}

impl<S> Default for Context<S> {
    fn default() -> Self {
        Self { on_their_way: OnTheirWay::default(), shipments: PhantomData }
    }
}

impl<S: Shipment> ClientContext for Context<S> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        super::log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(target: "callgate::broker", code = "run.client-error", %error, reason, "the producer's client reports an error");
    }
}

impl<S: Shipment> ProducerContext for Context<S> {
    type DeliveryOpaque = Box<S>;

    fn delivery(&self, result: &DeliveryResult<'_>, shipment: Box<S>) {
        self.on_their_way.end();
        shipment.delivered(match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(DeliveryError::judge(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail))),
        });
    }
}

/// Hands a shipment to the client, which reports its fate; where the client refuses, it comes back.
pub(super) fn hand_over<S: Shipment>(
    client: &ThreadedProducer<Context<S>>,
    shipment: Box<S>,
) -> Result<(), (RDKafkaErrorCode, Box<S>)> {
    let on_their_way = &client.client().context().on_their_way;
    // Before the report can come.
    on_their_way.begin();
    native::send(client.client().native_client(), shipment).inspect_err(|_| on_their_way.end())
}

/// An idempotent producer; made again by itself after a fatal error. What it sends goes at once while little does, and in
/// batches while much does.
pub struct Producer<S: Shipment> {
    gathering: Gathering<Box<S>>,
    way: Arc<Way<S>>,
}

impl<S: Shipment> Producer<S> {
    /// Makes the client.
    ///
    /// # Errors
    /// librdkafka's own sentence, where it refuses the settings.
    pub fn new(settings: &ClientSettings) -> Result<Self, String> {
        Ok(Self { gathering: Gathering::new(), way: Arc::new(Way::new(settings)?) })
    }

    /// Sends without waiting. `Err` gives the shipment back while there is no room for it: wait and try again, in
    /// order. Anything else, a refusal by the client too, arrives as [`Shipment::delivered`].
    pub fn send(&self, shipment: Box<S>) -> Result<(), Box<S>> {
        let client = self.way.current();
        let way = || {
            let way = self.way.clone();
            move |shipment: Box<S>| if shipment.is_obsolete() { Ok(()) } else { way.send(&way.current(), shipment) }
        };
        let (haste, on_their_way) = (shipment.haste(), client.client().context().on_their_way.count());
        match self.gathering.join(shipment, haste, on_their_way, way) {
            Departure::Later => Ok(()),
            Departure::Now(shipment) => self.way.send(&client, shipment),
            Departure::Full(shipment) => Err(shipment),
        }
    }

    /// What the broker says of a topic, or why it cannot be written to. Waits for the broker, at most for `timeout`.
    pub(super) fn partitions(&self, topic: &str, timeout: Duration) -> Result<Partitions, DeliveryError> {
        self.way.partitions(topic, timeout)
    }

    /// Waits until all that was sent has its report, at most for `timeout`. Returns whether it has.
    pub fn flush(&self, timeout: Duration) -> bool {
        // The client's own flush looks every 100 ms; its thread serves the reports, so counting is enough.
        let deadline = Instant::now() + timeout;
        while self.gathering.waiting() > 0 || self.way.current().in_flight_count() > 0 {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

/// What the broker says of a topic's partitions.
pub(super) struct Partitions {
    pub(super) count: i32,
    /// At least one of them has a broker that would take a record.
    pub(super) have_leader: bool,
}

/// The way to the broker: the client, as long as it is of use, and then another one.
struct Way<S: Shipment> {
    settings: ClientSettings,
    client: Mutex<Arc<ThreadedProducer<Context<S>>>>,
}

impl<S: Shipment> Way<S> {
    fn new(settings: &ClientSettings) -> Result<Self, String> {
        Ok(Self { settings: settings.clone(), client: Mutex::new(Arc::new(Self::client(settings)?)) })
    }

    fn client(settings: &ClientSettings) -> Result<ThreadedProducer<Context<S>>, String> {
        settings.producer().create_with_context(Context::default()).map_err(|error| error.to_string())
    }

    fn current(&self) -> Arc<ThreadedProducer<Context<S>>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn send(&self, client: &Arc<ThreadedProducer<Context<S>>>, shipment: Box<S>) -> Result<(), Box<S>> {
        match hand_over(client, shipment) {
            Ok(()) => Ok(()),
            Err((RDKafkaErrorCode::QueueFull, shipment)) => Err(shipment),
            Err((code, shipment)) => {
                if client.client().fatal_error().is_some() {
                    self.renew(client);
                }
                shipment.delivered(Err(DeliveryError::judge(code)));
                Ok(())
            }
        }
    }

    /// After a fatal error nothing can be sent by this client any more: what it held comes back as failed.
    fn renew(&self, failed: &Arc<ThreadedProducer<Context<S>>>) {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&client, failed) {
            return;
        }
        match Self::client(&self.settings) {
            Ok(fresh) => {
                let reason = failed.client().fatal_error().map_or_else(String::new, |(_, reason)| reason);
                tracing::error!(target: "callgate::broker", code = "run.client-failed", reason, "a producer failed for good and is made again");
                *client = Arc::new(fresh);
            }
            Err(error) => {
                tracing::error!(target: "callgate::broker", code = "run.client-failed", error, "cannot make a producer again")
            }
        }
    }

    fn partitions(&self, topic: &str, timeout: Duration) -> Result<Partitions, DeliveryError> {
        let client = self.current();
        let metadata = client
            .client()
            .fetch_metadata(Some(topic), timeout)
            .map_err(|error| DeliveryError::Transient(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)))?;
        let Some(known) = metadata.topics().iter().find(|known| known.name() == topic) else {
            return Err(DeliveryError::Topic(RDKafkaErrorCode::UnknownTopic));
        };
        match known.error() {
            Some(error) => Err(DeliveryError::judge(error.into())),
            None => Ok(Partitions {
                count: i32::try_from(known.partitions().len()).unwrap_or(i32::MAX),
                have_leader: known.partitions().iter().any(|partition| partition.leader() >= 0),
            }),
        }
    }
}
