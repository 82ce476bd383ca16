//! When a consumer commits what it has taken.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;

const INTERVAL: Duration = Duration::from_secs(1);

/// Commits what is acknowledged, at most once a second. The records of one interval share a token, so an interval whose
/// token nobody else holds has ended.
pub(crate) struct Commits {
    token: Arc<()>,
    last: (Arc<()>, TopicPartitionList),
    next: Instant,
}

impl Commits {
    /// # Errors
    ///
    /// librdkafka's.
    pub(crate) fn begin(consumer: &BaseConsumer) -> Result<Self, KafkaError> {
        let token = Arc::default();
        Ok(Self { last: (Arc::clone(&token), consumer.position()?), token, next: Instant::now() + INTERVAL })
    }

    /// For a record that was taken now: to be held until it has ended.
    pub(crate) fn token(&self) -> Arc<()> {
        self.token.clone()
    }

    /// # Errors
    ///
    /// librdkafka's.
    pub(crate) fn commit_if_due(&mut self, consumer: &BaseConsumer) -> Result<(), KafkaError> {
        if Instant::now() < self.next {
            return Ok(());
        }
        self.next += INTERVAL;
        let (sent, positions) = &self.last;
        // One is `last` itself, and as long as nothing was taken since, `token` is the same.
        if Arc::strong_count(sent) == 1 + usize::from(Arc::ptr_eq(sent, &self.token)) {
            consumer.commit(positions, CommitMode::Async)?;
            self.last = (std::mem::take(&mut self.token), consumer.position()?);
        }
        Ok(())
    }
}
