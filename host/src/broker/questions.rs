//! What is asked of the brokers beside the records, by whoever may wait for the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use callgate_core::metadata::UNKNOWN_TOPIC;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;

use super::events::Context;
use super::native;
use super::native::describe::{Isolation, Question, Refused};
use super::native::transaction::Membership;
use super::partitions::{TopicPartition, list_of};
use super::transactional::GroupMembership;

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

/// How far a partition goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// One above the last record that all in-sync replicas have.
    pub high_watermark: i64,
    /// Where the first open transaction began, else the high watermark: what follows is not given to this consumer.
    pub last_stable: i64,
}

/// Questions to the group's coordinator and the partitions' leaders that wait for an answer. Only one that is being asked
/// keeps the client alive: once that is being closed, no other is.
pub struct GroupQuestions {
    consumer: Weak<BaseConsumer<Context>>,
    embedded: bool,
}

impl GroupQuestions {
    pub(super) fn new(consumer: Weak<BaseConsumer<Context>>, embedded: bool) -> Self {
        Self { consumer, embedded }
    }

    fn consumer(&self) -> Result<Arc<BaseConsumer<Context>>, String> {
        let consumer = self.consumer.upgrade().filter(|consumer| !consumer.context().is_closing());
        consumer.ok_or_else(|| "the client is closed".to_owned())
    }

    /// Whether the client has been closed, so that nothing will ever be answered again.
    pub fn is_closed(&self) -> bool {
        self.consumer().is_err()
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
        Membership::of(&*self.consumer().ok()?).map(GroupMembership)
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

    /// How far these partitions go, whatever this member has fetched of them; those are left out that the broker does not
    /// tell. The high watermark is the older of the two, so where the last stable offset is below it, a transaction was
    /// open the whole time in between.
    ///
    /// # Errors
    /// The broker's or the client's sentence.
    pub fn ends(
        &self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<BTreeMap<TopicPartition, Ends>, String> {
        if self.embedded || partitions.is_empty() {
            // The embedded broker has no transactions, and nobody who watches over it.
            return Ok(BTreeMap::new());
        }
        let high_watermarks = self.latest(partitions, Isolation::ReadUncommitted, timeout)?;
        let last_stable = self.latest(partitions, Isolation::ReadCommitted, timeout)?;
        Ok(high_watermarks
            .into_iter()
            .filter_map(|(at, high_watermark)| {
                let last_stable = *last_stable.get(&at)?;
                Some((at, Ends { high_watermark, last_stable }))
            })
            .collect())
    }

    fn latest(
        &self,
        partitions: &[TopicPartition],
        isolation: Isolation,
        timeout: Duration,
    ) -> Result<BTreeMap<TopicPartition, i64>, String> {
        let consumer = self.consumer()?;
        let question =
            Question::latest_offsets(consumer.client().native_client(), &list_of(partitions), isolation, timeout)
                .ok_or("the last offsets cannot be asked for")?;
        match question.answer(timeout) {
            Some(Ok(answer)) => Ok(answer
                .latest_offsets()
                .into_iter()
                .map(|(topic, partition, offset)| (TopicPartition { topic: Arc::from(topic), partition }, offset))
                .collect()),
            Some(Err(refused)) => Err(format!("cannot read the last offsets: {}", refused.reason)),
            None => Err("cannot read the last offsets: no answer in time".to_owned()),
        }
    }
}
