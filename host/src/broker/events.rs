//! What happens to a member of a group, as the client tells it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use callgate_core::record::Record;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

use super::partitions::{TopicPartition, partitions_of};

/// What happened to the member since it was last asked.
#[derive(Debug)]
pub enum GroupEvent {
    /// These partitions come to this member, in addition to those it has. To be answered with
    /// [`GroupConsumer::assign`](super::GroupConsumer::assign).
    Assigned(Vec<TopicPartition>),
    /// These partitions go. To be answered with [`GroupConsumer::unassign`](super::GroupConsumer::unassign).
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

/// What librdkafka calls back: events are noted here, until the host takes them.
#[derive(Default)]
pub(super) struct Context {
    events: Mutex<VecDeque<GroupEvent>>,
    // Set while the consumer closes: nobody answers events then, so partitions are given up at once.
    closing: AtomicBool,
}

impl Context {
    pub(super) fn push(&self, event: GroupEvent) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
    }

    /// What has happened since this was last called.
    pub(super) fn take(&self) -> VecDeque<GroupEvent> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether nobody answers events any more.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// From here on nobody answers events.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
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
            if !self.is_closing() {
                self.push(GroupEvent::Assigned(partitions));
            }
        } else if self.is_closing() {
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
