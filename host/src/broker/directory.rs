//! What the broker says of the topics that replies and dead letters go to: how many partitions, how large a record may
//! be, or that nobody of this tenant may write there. Remembered for a while, in a bounded table.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys::rd_kafka_AclOperation_t as Operation;
use tokio::sync::oneshot;

use super::native::describe::Question;
use super::producer::{DeliveryError, Partitions, Producer, Shipment};
use super::settings::ClientSettings;

/// A topic may get more partitions; a forbidden one may be allowed.
const REMEMBERED: Duration = Duration::from_secs(30);
/// One that is missing is mostly about to be made, one without a leader about to get one; and whoever doubts what is
/// remembered may ask again after this.
const SOON: Duration = Duration::from_secs(1);
/// Brokers hear of a new topic one after another: it is asked for again after each of these before it is called missing.
const HEARSAY: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(100), Duration::from_millis(200)];
/// Strangers name topics that nobody makes. So that no lane waits for them all the time, this many times as long as was
/// waited for one nothing is waited for the next.
const RESTS: u32 = 4;
/// Strangers name topics: the table must not grow with their imagination.
const MAX_TOPICS: usize = 4096;
/// Room for the headers that a dead letter has beside the record's own.
const ADDED_HEADERS: usize = 64 << 10;
/// A compressed record may be many times as large as what its topic seems to take. The dead-letter topic that the host
/// makes takes at least this many bytes, so that a stranger's record does not stop its partition.
const MIN_DEAD_LETTER: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// A topic that can be written to, as far as the broker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownTopic {
    /// Its number of partitions.
    pub partitions: i32,
    /// The largest batch it takes, bytes (`max.message.bytes`); `None` where this client may not ask, or compresses.
    pub max_message_bytes: Option<usize>,
    /// It is there, but no broker takes what is written to it now.
    pub is_away: bool,
}

/// Why a topic cannot be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicProblem {
    /// It is missing or forbidden: the broker's word.
    Refused(String),
    /// The broker did not say; ask again.
    NoAnswer(String),
}

type Answer = Result<KnownTopic, TopicProblem>;
type Asked = (Arc<str>, oneshot::Sender<Answer>);

/// A topic, or the broker's refusal.
struct Remembered {
    asked: Instant,
    known: Result<KnownTopic, String>,
    lasts: Duration,
}

impl Remembered {
    fn is_fresh(&self) -> bool {
        self.asked.elapsed() < self.lasts
    }
}

/// One tenant's knowledge of topics, with its own credentials.
pub struct Directory {
    topics: RwLock<HashMap<Arc<str>, Remembered>>,
    // Questions wait for the broker, so they are asked on a thread of their own: only the lane that asks waits.
    questions: Mutex<mpsc::Sender<Asked>>,
    admin: Admin,
}

impl Directory {
    /// A directory that asks through `producer`, and through an administrative client made when first needed.
    pub fn new<S: Shipment>(settings: &ClientSettings, producer: Arc<Producer<S>>) -> Arc<Self> {
        let (questions, asked) = mpsc::channel::<Asked>();
        let admin = Admin::new(settings);
        let directory = Arc::new(Self { topics: RwLock::default(), questions: Mutex::new(questions), admin });
        let weak = Arc::downgrade(&directory);
        // The thread ends with the directory, whose sender is the only one.
        thread::Builder::new()
            .name("topic-directory".into())
            .spawn(move || {
                let mut rested = Instant::now();
                while let Ok((topic, answer)) = asked.recv() {
                    let Some(directory) = weak.upgrade() else { return };
                    let found = directory.ask(&producer, topic, &mut rested);
                    // Nobody waits any more if the lane was given up.
                    let _ = answer.send(found);
                }
            })
            .expect("the system has a thread left");
        directory
    }

    /// What is remembered of the topic, if it is fresh.
    pub fn known(&self, topic: &str) -> Option<Result<KnownTopic, String>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(topic).filter(|remembered| remembered.is_fresh()).map(|remembered| remembered.known.clone())
    }

    /// What is remembered, or else what the broker says now.
    ///
    /// # Errors
    /// [`TopicProblem`].
    pub async fn look_up(&self, topic: &Arc<str>) -> Answer {
        if let Some(known) = self.known(topic) {
            return known.map_err(TopicProblem::Refused);
        }
        let (answer, found) = oneshot::channel();
        let asked = self.questions.lock().unwrap_or_else(PoisonError::into_inner).send((topic.clone(), answer));
        match asked {
            Ok(()) => found.await.unwrap_or_else(|_| Err(TopicProblem::NoAnswer("the host is stopping".into()))),
            Err(_) => Err(TopicProblem::NoAnswer("the host is stopping".into())),
        }
    }

    /// What the broker says now, unless it was asked a moment ago: for whoever doubts what is remembered.
    ///
    /// # Errors
    /// [`TopicProblem`].
    pub async fn look_up_again(&self, topic: &Arc<str>) -> Answer {
        self.doubt(topic);
        self.look_up(topic).await
    }

    fn doubt(&self, topic: &str) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        if topics.get(topic).is_some_and(|remembered| remembered.asked.elapsed() >= SOON) {
            topics.remove(topic);
        }
    }

    /// Remembers that the broker refused a record for this topic's sake, so that a stranger who names it again cannot
    /// fail batch after batch. A topic that is only missing is asked about again soon.
    pub fn refuse(&self, topic: &Arc<str>, reason: String, is_missing: bool) {
        self.remember(topic, Err(reason), if is_missing { SOON } else { REMEMBERED });
    }

    /// The same for a thread that may wait for the broker.
    ///
    /// # Errors
    /// [`TopicProblem`].
    pub fn look_up_now(&self, topic: &Arc<str>) -> Answer {
        block_on(self.look_up(topic)).unwrap_or_else(|error| Err(TopicProblem::NoAnswer(error)))
    }

    /// Asks the broker anew what it takes: forgets what is known of these topics, and refuses those that this client may
    /// not write to, as far as the broker tells. Waits for it.
    pub fn ask_again(&self, topics: &BTreeSet<Arc<str>>) {
        topics.iter().for_each(|topic| self.forget(topic));
        for topic in self.admin.forbidden(topics) {
            self.refuse(&topic, RDKafkaErrorCode::TopicAuthorizationFailed.to_string(), false);
        }
    }

    /// Whether the topic is there. Waits for the broker.
    ///
    /// # Errors
    /// A sentence: what the broker said.
    pub fn is_there(&self, topic: &Arc<str>) -> Result<(), String> {
        match self.look_up_now(topic) {
            Ok(_) => Ok(()),
            Err(TopicProblem::Refused(reason) | TopicProblem::NoAnswer(reason)) => Err(reason),
        }
    }

    /// Forgets what is remembered of the topic: it may have been repaired.
    pub fn forget(&self, topic: &str) {
        self.topics.write().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }

    /// Makes the dead-letter topic of `source` where it is missing, for records as large as may come. Waits for the broker.
    ///
    /// # Errors
    /// A sentence: what the broker said.
    pub fn ensure_dead_letters(&self, topic: &Arc<str>, source: &str, partitions: i32) -> Result<bool, String> {
        let of_source = self.admin.max_message_bytes(source).unwrap_or(0);
        let max_bytes = of_source.saturating_add(ADDED_HEADERS).max(MIN_DEAD_LETTER);
        self.admin.create(topic, partitions, Some(max_bytes)).inspect(|made| {
            if *made {
                self.forget(topic);
            }
        })
    }

    fn ask<S: Shipment>(&self, producer: &Producer<S>, topic: Arc<str>, rested: &mut Instant) -> Answer {
        // Another lane may have asked in the meantime.
        if let Some(known) = self.known(&topic) {
            return known.map_err(TopicProblem::Refused);
        }
        match partitions(producer, &topic, rested) {
            Ok(Partitions { count, have_leader }) => {
                let max_message_bytes = self.admin.max_message_bytes(&topic);
                let known = KnownTopic { partitions: count, max_message_bytes, is_away: !have_leader };
                self.remember(&topic, Ok(known), if have_leader { REMEMBERED } else { SOON });
                Ok(known)
            }
            Err(error @ DeliveryError::Topic(_)) => {
                self.refuse(&topic, error.to_string(), error.is_missing());
                Err(TopicProblem::Refused(error.to_string()))
            }
            Err(error) => Err(TopicProblem::NoAnswer(error.to_string())),
        }
    }

    fn remember(&self, topic: &Arc<str>, known: Result<KnownTopic, String>, lasts: Duration) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        if topics.len() >= MAX_TOPICS && !topics.contains_key(topic) {
            topics.retain(|_, remembered| remembered.is_fresh());
            if topics.len() >= MAX_TOPICS {
                topics.clear();
            }
        }
        topics.insert(topic.clone(), Remembered { asked: Instant::now(), known, lasts });
    }
}

/// Asks for the topic's partitions; for one that is missing a few times, unless that was done just now.
fn partitions<S: Shipment>(
    producer: &Producer<S>,
    topic: &str,
    rested: &mut Instant,
) -> Result<Partitions, DeliveryError> {
    let mut answer = producer.partitions(topic, PATIENCE);
    let began = Instant::now();
    if began < *rested {
        return answer;
    }
    for pause in HEARSAY {
        if !answer.as_ref().is_err_and(DeliveryError::is_missing) {
            break;
        }
        thread::sleep(pause);
        answer = producer.partitions(topic, PATIENCE);
        *rested = Instant::now() + RESTS * began.elapsed();
    }
    answer
}

fn block_on<T>(answer: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
    Ok(runtime.block_on(answer))
}

/// Makes a topic where it is missing. Waits for the broker.
pub(super) fn create_topic(settings: &ClientSettings, topic: &str, partitions: i32) -> Result<bool, String> {
    Admin::new(settings).create(topic, partitions, None)
}

/// Administrative questions and orders, through a client that is made when first needed.
pub(super) struct Admin {
    settings: ClientSettings,
    client: Mutex<Option<Arc<AdminClient<DefaultClientContext>>>>,
}

impl Admin {
    pub(super) fn new(settings: &ClientSettings) -> Self {
        Self { settings: settings.clone(), client: Mutex::default() }
    }

    fn client(&self) -> Result<Arc<AdminClient<DefaultClientContext>>, String> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if client.is_none() {
            // Nobody reads this client's log, so it must not pile up.
            let mut config = self.settings.admin();
            config.set_log_level(RDKafkaLogLevel::Emerg);
            let made = config.create::<AdminClient<_>>().map_err(|error| error.to_string())?;
            *client = Some(Arc::new(made));
        }
        client.clone().ok_or_else(|| "no administrative client".to_owned())
    }

    fn options() -> AdminOptions {
        AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
    }

    /// `max.message.bytes` of the topic, where it can be known. The embedded broker answers no such question.
    pub(super) fn max_message_bytes(&self, topic: &str) -> Option<usize> {
        if self.settings.embedded || self.settings.compresses() {
            return None;
        }
        let asked = [ResourceSpecifier::Topic(topic)];
        let client = self.client().ok()?;
        let answers = block_on(client.describe_configs(&asked, &Self::options())).ok()?.ok()?;
        let config = answers.into_iter().next()?.ok()?;
        config.get("max.message.bytes")?.value.as_deref()?.parse().ok()
    }

    /// Those of the topics that this client may not write to, as far as the broker tells.
    fn forbidden(&self, topics: &BTreeSet<Arc<str>>) -> Vec<Arc<str>> {
        if self.settings.embedded || topics.is_empty() {
            return Vec::new();
        }
        let Ok(client) = self.client() else { return Vec::new() };
        let names = topics.iter().map(|topic| &**topic);
        let question = Question::topics(client.inner().native_client(), names, PATIENCE);
        let Some(Ok(answer)) = question.as_ref().and_then(|question| question.answer(PATIENCE)) else {
            return Vec::new();
        };
        let may_not_write = answer.topics().into_iter().filter(|topic| {
            topic.error == Some(RDKafkaErrorCode::TopicAuthorizationFailed)
                || topic
                    .operations
                    .as_ref()
                    .is_some_and(|allowed| !allowed.contains(&Operation::RD_KAFKA_ACL_OPERATION_WRITE))
        });
        may_not_write.map(|topic| topic.name.into()).collect()
    }

    /// Whether it was made, rather than there already.
    fn create(&self, topic: &str, partitions: i32, max_message_bytes: Option<usize>) -> Result<bool, String> {
        self.create_with(topic, partitions, max_message_bytes, &Self::options())
    }

    /// Whether it could be made.
    pub(super) fn may_create(&self, topic: &str, partitions: i32) -> Result<(), String> {
        self.create_with(topic, partitions, None, &Self::options().validate_only(true)).map(|_| ())
    }

    fn create_with(
        &self,
        topic: &str,
        partitions: i32,
        max_message_bytes: Option<usize>,
        options: &AdminOptions,
    ) -> Result<bool, String> {
        // -1: the broker's default replication.
        let mut wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
        let bytes = max_message_bytes.map(|bytes| bytes.to_string());
        if let Some(bytes) = &bytes {
            wanted = wanted.set("max.message.bytes", bytes);
        }
        let wanted = [wanted];
        let client = self.client()?;
        let answers = block_on(client.create_topics(&wanted, options))?.map_err(|error| error.to_string())?;
        match answers.into_iter().next() {
            Some(Ok(_)) => Ok(true),
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, code))) => Err(code.to_string()),
            None => Err("the broker gave no answer".to_owned()),
        }
    }
}
