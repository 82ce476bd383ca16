//! A member of one consumer group: subscription, rebalances as events, the records of each partition, commits.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use callgate_core::record::Record;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use super::native;
use super::questions::GroupQuestions;
use super::settings::ClientSettings;
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

pub(super) struct Context {
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
        GroupQuestions::new(Arc::downgrade(&self.consumer), self.embedded)
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

/// The fetched records of one assigned partition.
pub struct PartitionFeed(native::PartitionQueue<Context>);

impl PartitionFeed {
    /// Takes at most `max` records that are there now, without waiting. What `each` gets as an error is the broker's
    /// word about this partition. Returns how many there were: less than `max` means that it was emptied.
    pub fn take(&self, max: usize, mut each: impl FnMut(Result<Record, FeedError>)) -> usize {
        self.0.take(max, |result| each(result.map_err(FeedError::from)))
    }

    /// All that is visible below this offset has been taken; `None` before anything was. It is above the last record where a
    /// transaction's marker, or what one has aborted, came behind it.
    pub fn position(&self) -> Option<i64> {
        self.0.position()
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

pub(super) fn list_of(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for at in partitions {
        list.add_partition(&at.topic, at.partition);
    }
    list
}
