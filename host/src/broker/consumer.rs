//! A member of one consumer group: subscription, rebalances as events, the records of each partition, commits.

use std::collections::VecDeque;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use callgate_core::record::Record;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::events::{Context, GroupEvent};
use super::native;
use super::partitions::{TopicPartition, list_of};
use super::questions::GroupQuestions;
use super::settings::ClientSettings;
use super::wake::Wake;

/// How often it is looked whether a question has let go of a client that is to be closed.
const LETTING_GO: Duration = Duration::from_millis(5);

/// Where an assigned partition begins.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// The partition.
    pub at: TopicPartition,
    /// The offset of the first record to fetch.
    pub position: i64,
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
        let mut consumer: BaseConsumer<Context> = settings
            .consumer(group_id, instance_id)
            .create_with_context(Context::default())
            .map_err(|error| error.to_string())?;
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
        self.consumer.context().take()
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
        for Assigned { at, .. } in partitions {
            native::PartitionQueue::part(&self.consumer, &at.topic, at.partition);
        }
        self.consumer.incremental_assign(&list).map_err(|error| error.to_string())?;
        partitions
            .iter()
            .map(|Assigned { at, .. }| {
                native::PartitionQueue::split(&self.consumer, &at.topic, at.partition, &self.wake)
                    .map(|queue| PartitionFeed { queue, paused: false })
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
        self.consumer.context().close();
        let (closed, wait) = mpsc::channel();
        thread::spawn(move || {
            // A question that waits for its answer holds the client, too: whoever lets go of it last leaves the group.
            let mut consumer = self.consumer;
            while let Err(still_asked) = Arc::try_unwrap(consumer).map(drop) {
                consumer = still_asked;
                thread::sleep(LETTING_GO);
            }
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
pub struct PartitionFeed {
    queue: native::PartitionQueue<Context>,
    paused: bool,
}

impl PartitionFeed {
    /// The next record that is there now, or the broker's word about this partition; without waiting.
    pub fn take(&self) -> Option<Result<Record, FeedError>> {
        self.queue.take().map(|taken| taken.map_err(FeedError::from))
    }

    /// All that is visible below this offset has been taken; `None` before anything was. It is above the last record where a
    /// transaction's marker, or what one has aborted, came behind it.
    pub fn position(&self) -> Option<i64> {
        self.queue.position()
    }

    /// Fetches nothing more: what the client cannot read, it would ask for again and again, and fill the queue with that.
    pub fn pause(&mut self) {
        match self.queue.pause() {
            Ok(()) => self.paused = true,
            Err(error) => tracing::debug!(%error, "could not pause a partition"),
        }
    }
}

impl Drop for PartitionFeed {
    fn drop(&mut self) {
        if self.paused
            && let Err(error) = self.queue.resume()
        {
            tracing::debug!(%error, "could not resume a partition");
        }
    }
}

/// Why a partition cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedError {
    /// Its position does not exist any more, or not yet: `auto.offset.reset` is `error`, so it stands still.
    OffsetOutOfRange,
    /// A batch of records is damaged, or written in a way that the client does not know. It goes on behind the batch.
    BatchCorrupt {
        /// Of its first record.
        offset: i64,
        /// librdkafka's own sentence.
        reason: String,
    },
    /// Anything else; librdkafka tries again by itself.
    Other(String),
}

impl From<native::PartitionError> for FeedError {
    fn from(native::PartitionError { code, offset, reason }: native::PartitionError) -> Self {
        match code {
            RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset => Self::OffsetOutOfRange,
            // A checksum that is wrong, a form of batch or a compression that is unknown, what cannot be decompressed.
            RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::NotImplemented | RDKafkaErrorCode::BadCompression => {
                Self::BatchCorrupt { offset, reason }
            }
            code => Self::Other(code.to_string()),
        }
    }
}
