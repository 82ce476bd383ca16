//! What the broker tells a tenant before anything runs: which topics and groups there are, and what may be done there.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka_sys::rd_kafka_AclOperation_t as Operation;

use super::directory::Admin;
use super::native::describe::{Answer, Operations, Question};
use super::settings::ClientSettings;

/// A broker that says nothing for so long is down for whoever checks.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often the client is asked for its errors while it waits for an answer.
const POLL: Duration = Duration::from_millis(50);
/// The safe wrapper has one call for the names of all topics, and it cannot be interrupted.
const SLICE: Duration = Duration::from_secs(2);
/// What the client has to say of its connections is there by now, and taken in this time.
const LISTEN: Duration = Duration::from_millis(2);

/// A topic as the broker describes it to this client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its number of partitions.
    pub partitions: usize,
    /// What this client may do there; `None` where the broker does not tell.
    pub allowed: Option<Allowed>,
}

/// What a client may do with a topic, or with a group, which can only be read: joined, that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Operation `READ`.
    pub read: bool,
    /// Operation `WRITE`.
    pub write: bool,
}

impl Allowed {
    fn of(operations: Operations) -> Option<Self> {
        let operations = operations?;
        Some(Self {
            read: operations.contains(&Operation::RD_KAFKA_ACL_OPERATION_READ),
            write: operations.contains(&Operation::RD_KAFKA_ACL_OPERATION_WRITE),
        })
    }
}

/// Why a topic or a group is not described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotDescribed {
    /// It is not there.
    Missing,
    /// This client may not know whether it is there.
    Forbidden,
    /// The broker's word.
    Other(String),
}

/// What the broker says of one topic or group, or why it does not.
pub type Described<T> = Result<T, NotDescribed>;

impl From<RDKafkaErrorCode> for NotDescribed {
    fn from(code: RDKafkaErrorCode) -> Self {
        match code {
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::GroupIdNotFound => Self::Missing,
            RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed => Self::Forbidden,
            code => Self::Other(code.to_string()),
        }
    }
}

/// Why there is no answer at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The broker does not take these credentials: the client's sentence.
    Credentials(String),
    /// No broker can be reached, or none answers in time: the client's sentence.
    Unreachable(String),
    /// A broker answers that it will not: its sentence.
    Refused(String),
}

/// Asks as one tenant. All of its methods wait for the broker, at most some 10 s.
pub struct Inspector {
    client: BaseProducer<Listener>,
    admin: Admin,
    settings: ClientSettings,
}

impl Inspector {
    /// Makes the client; nothing is asked yet.
    ///
    /// # Errors
    /// librdkafka's own sentence, where it refuses the settings.
    pub fn new(settings: &ClientSettings) -> Result<Self, String> {
        let client = BaseProducer::from_config_and_context(&settings.admin(), Listener::default())
            .map_err(|error| error.to_string())?;
        Ok(Self { client, admin: Admin::new(settings), settings: settings.clone() })
    }

    /// Describes topics. Names may come more than once; what the broker leaves out is left out.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn topics<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<BTreeMap<String, Described<TopicDescription>>, NoAnswer> {
        let mut names: Vec<&str> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        let question = Question::topics(self.client.client().native_client(), names.into_iter(), PATIENCE);
        let described = self.wait(question)?.topics().into_iter().map(|topic| {
            let description = match topic.error {
                Some(code) => Err(code.into()),
                None => Ok(TopicDescription { partitions: topic.partitions, allowed: Allowed::of(topic.operations) }),
            };
            (topic.name, description)
        });
        Ok(described.collect())
    }

    /// What this client may do with a consumer group; `None` where the broker does not tell.
    ///
    /// # Errors
    /// A group that nobody has joined yet may be [`NotDescribed::Missing`]. Its coordinator may give no answer at all.
    pub fn group(&self, name: &str) -> Described<Option<Allowed>> {
        let question = Question::group(self.client.client().native_client(), name, PATIENCE);
        match self.wait(question) {
            Ok(answer) => match answer.group() {
                Some(group) => group.error.map_or_else(|| Ok(Allowed::of(group.operations)), |code| Err(code.into())),
                None => Err(NotDescribed::Other("the broker left it out of its answer".to_owned())),
            },
            Err(NoAnswer::Credentials(reason) | NoAnswer::Unreachable(reason) | NoAnswer::Refused(reason)) => {
                Err(NotDescribed::Other(reason))
            }
        }
    }

    /// Whether this client may use transactional ids such as this one, which nobody else must use. No transaction is
    /// begun.
    ///
    /// # Errors
    /// [`NotDescribed::Forbidden`], or no answer.
    pub fn may_use_transactional_id(&self, id: &str) -> Described<()> {
        let other = |error: KafkaError| NotDescribed::Other(error.to_string());
        let config = self.settings.transactional_producer(id);
        let client = BaseProducer::from_config_and_context(&config, Listener::default()).map_err(other)?;
        client.init_transactions(PATIENCE).map_err(|error| match &error {
            KafkaError::Transaction(told) if told.code() == RDKafkaErrorCode::TransactionalIdAuthorizationFailed => {
                NotDescribed::Forbidden
            }
            _ => other(error),
        })
    }

    /// The names of all topics that this client may know of.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn topic_names(&self) -> Result<Vec<String>, NoAnswer> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.client.client().fetch_metadata(None, SLICE) {
                Ok(metadata) => return Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()),
                Err(error) => {
                    self.client.poll(LISTEN);
                    if self.client.context().is_hopeless() || Instant::now() >= deadline {
                        return Err(self.no_answer(None, error.to_string()));
                    }
                }
            }
        }
    }

    /// The largest batch that the topic takes, bytes (`max.message.bytes`); `None` where this client may not ask, or
    /// compresses.
    pub fn max_message_bytes(&self, topic: &str) -> Option<usize> {
        self.admin.max_message_bytes(topic)
    }

    /// Whether this client may make the topic. Nothing is made.
    ///
    /// # Errors
    /// The broker's sentence, where it may not.
    pub fn may_create(&self, topic: &str, partitions: usize) -> Result<(), String> {
        self.admin.may_create(topic, i32::try_from(partitions).unwrap_or(i32::MAX))
    }

    fn wait(&self, question: Option<Question<'_>>) -> Result<Answer, NoAnswer> {
        let question = question.ok_or_else(|| NoAnswer::Refused("the question cannot be put".to_owned()))?;
        // The client itself gives up after `PATIENCE`, and says so.
        let deadline = Instant::now() + PATIENCE + 2 * POLL;
        loop {
            let answer = question.answer(POLL);
            match answer {
                Some(Ok(answer)) => return Ok(answer),
                Some(Err(refused)) => return Err(self.no_answer(Some(refused.code), refused.reason)),
                None => self.client.poll(LISTEN),
            }
            // What the client tries again and again in vain need not be waited for.
            if self.client.context().is_hopeless() || Instant::now() >= deadline {
                return Err(self.no_answer(None, String::new()));
            }
        }
    }

    /// The connection's own story says more than that a question timed out, which is `None`.
    fn no_answer(&self, code: Option<RDKafkaErrorCode>, reason: String) -> NoAnswer {
        self.client.poll(LISTEN);
        match (self.client.context().last(), code) {
            (Some((RDKafkaErrorCode::Authentication, story)), _) => NoAnswer::Credentials(story),
            (_, Some(RDKafkaErrorCode::SaslAuthenticationFailed)) => NoAnswer::Credentials(reason),
            (Some((_, story)), _) => NoAnswer::Unreachable(story),
            (None, Some(RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::RequestTimedOut)) | (None, None) => {
                NoAnswer::Unreachable(format!("no answer within {} s", PATIENCE.as_secs()))
            }
            (None, Some(_)) => NoAnswer::Refused(reason),
        }
    }
}

/// Keeps the client's last error, until it is connected.
#[derive(Default)]
struct Listener {
    last: Mutex<Option<(RDKafkaErrorCode, String)>>,
}

impl Listener {
    fn last(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_hopeless(&self) -> bool {
        matches!(self.last(), Some((RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL, _)))
    }
}

impl ClientContext for Listener {
    // What it says of connections is in its errors too, and those are told in a fault.
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // "All brokers are down" follows the reason why, and says less.
        if code != RDKafkaErrorCode::AllBrokersDown || last.is_none() {
            *last = Some((code, reason.to_owned()));
        }
    }
}

impl ProducerContext for Listener {
    type DeliveryOpaque = ();

    fn delivery(&self, _result: &DeliveryResult<'_>, _opaque: ()) {}
}
