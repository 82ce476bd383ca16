//! A member of one consumer group: subscription, rebalances as events, the records of each partition, commits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread;
use std::time::Duration;

use callgate_core::metadata::UNKNOWN_TOPIC;
use callgate_core::record::Record;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use super::native;
use super::native::describe::{Question, Refused};
use super::native::transaction::Membership;
use super::settings::ClientSettings;
use super::transactional::GroupMembership;
use super::wake::Wake;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition, from 0.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Where an assigned partition begins.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// The partition.
    pub at: TopicPartition,
    /// The offset of the first record to fetch.
    pub position: i64,
}

/// What a group has committed for a partition.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The partition.
    pub at: TopicPartition,
    /// The next offset to read; `None` if nothing was ever committed, or it has expired.
    pub offset: Option<i64>,
    /// What was committed beside it, where that is text.
    pub metadata: Option<String>,
}

/// What happened to the member since it was last asked.
#[derive(Debug)]
pub enum GroupEvent {
    /// These partitions come to this member, in addition to those it has. To be answered with [`GroupConsumer::assign`].
    Assigned(Vec<TopicPartition>),
    /// These partitions go. To be answered with [`GroupConsumer::unassign`].
    Revoked {
        /// Which.
        partitions: Vec<TopicPartition>,
        /// They may be another's already: nothing may be committed for them any more.
        lost: bool,
    },
    /// A commit has ended.
    Committed(Result<(), String>),
    /// A record that came by the main queue, before its partition's queue was parted.
    Record(Record),
    /// A topic that is subscribed to is not there, or may not be seen. As long as that is so of all, the group is not
    /// joined; when one appears, it is.
    TopicUnavailable(String),
    /// The client reports an error; it goes on by itself.
    Error(String),
    /// The client cannot go on (`RD_KAFKA_RESP_ERR__FATAL`): it must be made again.
    Fatal(String),
}

struct Context {
    events: Mutex<VecDeque<GroupEvent>>,
    // Set while the consumer closes: nobody answers events then, so partitions are given up at once.
    closing: AtomicBool,
}

impl Context {
    fn push(&self, event: GroupEvent) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        super::log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.push(match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::TopicAuthorizationFailed) => {
                GroupEvent::TopicUnavailable(reason.to_owned())
            }
            _ => GroupEvent::Error(format!("{error}: {reason}")),
        });
    }
}

impl ConsumerContext for Context {
    // The event is only noted. The host answers it when the partitions' work has been drained, or their offsets are
    // known; until then librdkafka goes on polling and sends its heartbeats.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions = partitions_of(list);
        if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            if !self.closing.load(Ordering::Acquire) {
                self.push(GroupEvent::Assigned(partitions));
            }
        } else if self.closing.load(Ordering::Acquire) {
            if let Err(error) = consumer.incremental_unassign(list) {
                tracing::debug!(%error, "could not give up partitions while closing");
            }
        } else {
            self.push(GroupEvent::Revoked { partitions, lost: consumer.assignment_lost() });
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        let failed = offsets.elements().into_iter().find_map(|element| {
            element.error().err().map(|error| format!("{}-{}: {error}", element.topic(), element.partition()))
        });
        self.push(GroupEvent::Committed(match (result, failed) {
            (Ok(()), None) => Ok(()),
            (Ok(()), Some(error)) => Err(error),
            (Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)), _) => Ok(()),
            (Err(error), _) => Err(error.to_string()),
        }));
    }
}

/// A member of a consumer group. All of its methods return at once, but for those that say so.
pub struct GroupConsumer {
    consumer: Arc<BaseConsumer<Context>>,
    wake: Arc<Wake>,
    embedded: bool,
}

impl GroupConsumer {
    /// Makes the client; it joins the group with the first [`subscribe`](Self::subscribe).
    ///
    /// # Errors
    /// librdkafka's own sentence, where it refuses the settings.
    pub fn new(
        settings: &ClientSettings,
        group_id: &str,
        instance_id: Option<&str>,
        wake: Arc<Wake>,
    ) -> Result<Self, String> {
        let context = Context { events: Mutex::default(), closing: AtomicBool::new(false) };
        let mut consumer: BaseConsumer<Context> =
            settings.consumer(group_id, instance_id).create_with_context(context).map_err(|error| error.to_string())?;
        let bell = wake.clone();
        consumer.set_nonempty_callback(move || bell.wake());
        Ok(Self { consumer: Arc::new(consumer), wake, embedded: settings.embedded })
    }

    /// Subscribes to these topics, by name, instead of those before; to none, if there are none.
    ///
    /// # Errors
    /// librdkafka's own sentence.
    pub fn subscribe(&self, topics: &[Arc<str>]) -> Result<(), String> {
        if topics.is_empty() {
            self.consumer.unsubscribe();
            return Ok(());
        }
        let names: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
        self.consumer.subscribe(&names).map_err(|error| error.to_string())
    }

    /// What has happened. To be called often: it is what keeps the member in its group.
    pub fn poll(&self) -> VecDeque<GroupEvent> {
        // librdkafka answers "nothing" also for what it has handled itself (logs, rebalances), so ask twice.
        let mut idle = 0;
        while idle < 2 {
            match self.consumer.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    self.consumer.context().push(GroupEvent::Record(native::read_borrowed(&message)));
                    idle = 0;
                }
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    self.consumer.context().push(GroupEvent::Fatal(code.to_string()));
                    idle = 0;
                }
                // The context has noted it already, with its reason.
                Some(Err(_)) => idle = 0,
                None => idle += 1,
            }
        }
        std::mem::take(&mut *self.consumer.context().events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the partitions up, in addition to those there are, and parts their queues.
    ///
    /// # Errors
    /// librdkafka's own sentence; mostly the member has left the group in the meantime.
    pub fn assign(&self, partitions: &[Assigned]) -> Result<Vec<PartitionFeed>, String> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for Assigned { at, position } in partitions {
            list.add_partition_offset(&at.topic, at.partition, Offset::Offset(*position))
                .map_err(|error| error.to_string())?;
        }
        self.consumer.incremental_assign(&list).map_err(|error| error.to_string())?;
        partitions
            .iter()
            .map(|Assigned { at, .. }| {
                native::PartitionQueue::split(&self.consumer, &at.topic, at.partition, &self.wake)
                    .map(PartitionFeed)
                    .ok_or_else(|| format!("no queue for {at}"))
            })
            .collect()
    }

    /// Gives the partitions up. Their feeds must be gone by then.
    ///
    /// # Errors
    /// librdkafka's own sentence.
    pub fn unassign(&self, partitions: &[TopicPartition]) -> Result<(), String> {
        self.consumer.incremental_unassign(&list_of(partitions)).map_err(|error| error.to_string())
    }

    /// Begins to commit; the end comes as [`GroupEvent::Committed`]. Each offset is the next one to read.
    ///
    /// # Errors
    /// librdkafka's own sentence.
    pub fn commit(&self, offsets: &[(TopicPartition, i64, String)]) -> Result<(), String> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (at, offset, metadata) in offsets {
            let mut element = list.add_partition(&at.topic, at.partition);
            element.set_offset(Offset::Offset(*offset)).map_err(|error| error.to_string())?;
            element.set_metadata(metadata);
        }
        native::commit(&self.consumer, &list).map_err(|code| code.to_string())
    }

    /// What may be asked on another thread, since it waits for the broker.
    pub fn questions(&self) -> GroupQuestions {
        GroupQuestions { consumer: Arc::downgrade(&self.consumer), embedded: self.embedded }
    }

    /// Leaves the group (a static member does not), on a thread of its own: a broker that is down holds nobody.
    pub fn close(self) -> Closing {
        self.consumer.context().closing.store(true, Ordering::Release);
        let (closed, wait) = mpsc::channel();
        thread::spawn(move || {
            drop(self.consumer);
            // Nobody listens any more if it took too long.
            let _ = closed.send(());
            self.wake.wake();
        });
        Closing(wait)
    }
}

/// A member that is leaving its group.
pub struct Closing(mpsc::Receiver<()>);

impl Closing {
    /// Whether it has left. To be asked until it has, and no more.
    pub fn is_done(&self) -> bool {
        !matches!(self.0.try_recv(), Err(mpsc::TryRecvError::Empty))
    }
}

/// Questions to the group's coordinator and the partitions' leaders that wait for an answer. They do not keep the
/// client alive: once it is closed, there is no answer.
pub struct GroupQuestions {
    consumer: Weak<BaseConsumer<Context>>,
    embedded: bool,
}

impl GroupQuestions {
    fn consumer(&self) -> Result<Arc<BaseConsumer<Context>>, String> {
        self.consumer.upgrade().ok_or_else(|| "the client is closed".to_owned())
    }

    /// Whether the client has been closed, so that nothing will ever be answered again.
    pub fn is_closed(&self) -> bool {
        self.consumer.strong_count() == 0
    }

    /// What the group has committed for each of the partitions, in their order.
    ///
    /// # Errors
    /// The broker's or the client's sentence.
    pub fn committed(&self, partitions: &[TopicPartition], timeout: Duration) -> Result<Vec<Committed>, String> {
        let list = self
            .consumer()?
            .committed_offsets(list_of(partitions), timeout)
            .map_err(|error| format!("cannot read the committed offsets: {error}"))?;
        let metadata = native::offset_metadata(&list);
        list.elements()
            .into_iter()
            .zip(metadata)
            .map(|(element, metadata)| {
                let at = TopicPartition { topic: Arc::from(element.topic()), partition: element.partition() };
                element.error().map_err(|error| format!("cannot read the committed offset of {at}: {error}"))?;
                let offset = match element.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                };
                Ok(Committed { at, offset, metadata })
            })
            .collect()
    }

    /// Who this member is now, for offsets in a transaction; `None` while it is not one. Waits for the client's own
    /// thread, not for the broker.
    pub fn membership(&self) -> Option<GroupMembership> {
        Membership::of(&*self.consumer.upgrade()?).map(GroupMembership)
    }

    /// The first offset there is and the one after the last, of a partition.
    ///
    /// # Errors
    /// The broker's or the client's sentence.
    pub fn bounds(&self, at: &TopicPartition, timeout: Duration) -> Result<(i64, i64), String> {
        self.consumer()?
            .fetch_watermarks(&at.topic, at.partition, timeout)
            .map_err(|error| format!("cannot read the first and last offset of {at}: {error}"))
    }

    /// The ids of these topics, where the broker has and tells them: the embedded one does not, nor an old one, nor one
    /// that forbids it. Two topics of the same name, one after the other, have different ids.
    ///
    /// # Errors
    /// The broker's or the client's sentence; to be asked again.
    pub fn topic_ids(
        &self,
        topics: &BTreeSet<&str>,
        timeout: Duration,
    ) -> Result<BTreeMap<Arc<str>, [u8; 16]>, String> {
        if self.embedded {
            // The embedded broker answers no such question.
            return Ok(BTreeMap::new());
        }
        let consumer = self.consumer()?;
        let question = Question::topics(consumer.client().native_client(), topics.iter().copied(), timeout)
            .ok_or("the ids of topics cannot be asked for")?;
        match question.answer(timeout) {
            Some(Ok(answer)) => Ok(answer
                .topics()
                .into_iter()
                .filter(|topic| topic.error.is_none() && topic.id != UNKNOWN_TOPIC)
                .map(|topic| (Arc::from(topic.name), topic.id))
                .collect()),
            Some(Err(Refused { code: RDKafkaErrorCode::UnsupportedFeature, .. })) => Ok(BTreeMap::new()),
            Some(Err(refused)) => Err(format!("cannot read the ids of topics: {}", refused.reason)),
            None => Err("cannot read the ids of topics: no answer in time".to_owned()),
        }
    }

    /// All topics and how many partitions each has; of one topic only, if one is named.
    ///
    /// # Errors
    /// The broker's or the client's sentence.
    pub fn topics(&self, only: Option<&str>, timeout: Duration) -> Result<BTreeMap<Arc<str>, i32>, String> {
        let metadata = self
            .consumer()?
            .fetch_metadata(only, timeout)
            .map_err(|error| format!("cannot read which topics there are: {error}"))?;
        Ok(metadata
            .topics()
            .iter()
            .filter(|topic| topic.error().is_none())
            .map(|topic| (Arc::from(topic.name()), i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX)))
            .collect())
    }
}

/// The fetched records of one assigned partition.
pub struct PartitionFeed(native::PartitionQueue<Context>);

impl PartitionFeed {
    /// Takes at most `max` records that are there now, without waiting. What `each` gets as an error is the broker's
    /// word about this partition. Returns how many there were: less than `max` means that it was emptied.
    pub fn take(&self, max: usize, mut each: impl FnMut(Result<Record, FeedError>)) -> usize {
        self.0.take(max, |result| each(result.map_err(FeedError::from)))
    }
}

/// Why a partition cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedError {
    /// Its position does not exist any more, or not yet: `auto.offset.reset` is `error`, so it stands still.
    OffsetOutOfRange,
    /// Anything else; librdkafka tries again by itself.
    Other(String),
}

impl From<RDKafkaErrorCode> for FeedError {
    fn from(code: RDKafkaErrorCode) -> Self {
        match code {
            RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset => Self::OffsetOutOfRange,
            code => Self::Other(code.to_string()),
        }
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements()
        .iter()
        .map(|element| TopicPartition { topic: Arc::from(element.topic()), partition: element.partition() })
        .collect()
}

fn list_of(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for at in partitions {
        list.add_partition(&at.topic, at.partition);
    }
    list
}
