//! The way out: a producer, what is known of its topics, and how a dead letter is written come what may.

use std::sync::Arc;
use std::time::Duration;

use callgate_core::failure::{Failure, Reason};
use callgate_core::record::OutgoingRecord;
use callgate_core::stop::{Stop, StopCause};
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::delivery::{Delivery, Meaning};
use super::{Answer, End, Unit};
use crate::broker::{DeliveryError, Directory, KnownTopic, Producer, TopicProblem};
use crate::planted;

/// The producer's queue is full: the broker is slower than the handlers.
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(1);
/// Between two attempts to write what must be written.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(250);
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(5);
/// Between two attempts to be alone in a batch: 7 of them, within 650 ms.
const ALONE_PAUSE: Duration = Duration::from_millis(5);
const MAX_ALONE_PAUSE: Duration = Duration::from_millis(640);
/// A batch's own header; a record is at least this much larger on the wire than its key, value and headers.
pub(super) const BATCH_OVERHEAD: usize = 61 + 7;

pub(super) struct Outbox<U: Unit> {
    pub(super) producer: Arc<Producer<Delivery<U>>>,
    pub(super) directory: Arc<Directory>,
}

impl<U: Unit> Clone for Outbox<U> {
    fn clone(&self) -> Self {
        Self { producer: self.producer.clone(), directory: self.directory.clone() }
    }
}

impl<U: Unit> Outbox<U> {
    /// Writes the dead letter, behind those of earlier records, and waits for its acknowledgement, however long that takes;
    /// then sends the answer. While the dead letter cannot be written, the record's partition stands still.
    pub(super) async fn dead_letter(&self, unit: U, failure: Failure, answer: Answer) {
        unit.await_earlier().await;
        let topic = unit.dead_letter_topic();
        let mut pause = FIRST_PAUSE;
        if planted::fault("answer-first")
            && let Answer::Reply(record) = &answer
        {
            self.answer(record.clone()).await;
        }
        loop {
            if unit.is_fenced() {
                return;
            }
            match self.try_dead_letter(&unit, &topic, &failure).await {
                Ok(()) => break,
                Err(_) if planted::fault("ignore-failed-dead-letter") => break,
                Err(error) => {
                    let record = unit.coordinate();
                    tracing::error!(
                        target: "callgate::settle", code = "run.dead-letter-unwritable", topic = %record.topic,
                        partition = record.partition, offset = record.offset, dead_letter_topic = %topic, error,
                        reason = %failure.reason,
                        "a dead letter cannot be written, so the record's partition stands still until it can"
                    );
                    unit.stop_partition(Stop::new(
                        StopCause::DeadLetterUnwritable,
                        format!("the dead letter of offset {} cannot be written to {topic}: {error}", record.offset),
                    ));
                }
            }
            if planted::fault("never-resume") {
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
            self.directory.forget(&topic);
        }
        unit.resume_partition();

        let end = |answered| End::DeadLettered { reason: failure.reason, answered };
        let record = match answer {
            Answer::Nothing => None,
            Answer::Reply(record) => Some(record),
            Answer::Error(_) if planted::fault("drop-answer") => None,
            Answer::Error(status) => unit.error_reply(status, &failure),
        };
        let answered = match record {
            Some(record) => self.answer(record).await,
            None => false,
        };
        unit.end(end(answered));
    }

    /// Sends the answer beside a dead letter. One that cannot be written is dropped.
    async fn answer(&self, record: OutgoingRecord) -> bool {
        match self.deliver_alone(&record).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(
                    target: "callgate::settle", code = "run.answer-dropped", topic = %record.topic, %error,
                    "an answer beside a dead letter could not be written and is dropped"
                );
                false
            }
        }
    }

    /// Sends what failed in a batch again, until it is alone in one: a neighbour, or their sum, may be what was too large.
    pub(super) async fn deliver_alone(&self, record: &OutgoingRecord) -> Result<(), DeliveryError> {
        let mut pause = ALONE_PAUSE;
        loop {
            match self.deliver(record.clone()).await {
                Err(DeliveryError::Batch(_)) if pause < MAX_ALONE_PAUSE => {
                    sleep(pause).await;
                    pause *= 2;
                }
                result => return result,
            }
        }
    }

    async fn try_dead_letter(&self, unit: &U, topic: &Arc<str>, failure: &Failure) -> Result<(), String> {
        let KnownTopic { partitions, max_message_bytes } = match self.directory.look_up(topic).await {
            Ok(known) => known,
            Err(TopicProblem::Refused(reason)) => {
                return Err(format!("{reason}; make the topic, or let this tenant write to it"));
            }
            Err(TopicProblem::NoAnswer(reason)) => return Err(reason),
        };
        let max_bytes = max_message_bytes.map(|max| max.saturating_sub(BATCH_OVERHEAD));
        let letter = unit.dead_letter(failure, partitions, max_bytes);
        self.deliver_alone(&letter).await.map_err(|error| match error {
            error if error.is_too_large() => {
                format!("{error}; raise `max.message.bytes` of the topic, at least to what the source topic takes")
            }
            error => format!("{error}; make the topic, or let this tenant write to it"),
        })
    }

    /// Sends and waits for the acknowledgement.
    pub(super) async fn deliver(&self, record: OutgoingRecord) -> Result<(), DeliveryError> {
        let (waiting, acknowledged) = oneshot::channel();
        self.send(Delivery { record, meaning: Meaning::Awaited(waiting) }).await;
        acknowledged.await.unwrap_or(Err(DeliveryError::lost()))
    }

    /// What a planted fault sends when nobody waits for it any more.
    pub(super) fn send_later(&self, record: OutgoingRecord) {
        let outbox = self.clone();
        spawn_local(async move {
            sleep(Duration::from_secs(3)).await;
            let (nobody, _) = oneshot::channel();
            outbox.send(Delivery { record, meaning: Meaning::Awaited(nobody) }).await;
        });
    }

    /// Hands over to the producer, in order, waiting while its queue is full.
    pub(super) async fn send(&self, delivery: Delivery<U>) {
        let mut delivery = Box::new(delivery);
        while let Err(back) = self.producer.send(delivery) {
            delivery = back;
            sleep(FULL_QUEUE_PAUSE).await;
        }
    }
}

pub(super) fn too_large(record: &OutgoingRecord, max: Option<usize>) -> Failure {
    let limit = max.map_or_else(String::new, |max| format!(", which takes {max} bytes (max.message.bytes)"));
    Failure::new(
        Reason::ReplyTooLarge,
        format!("the reply of {} bytes is too large for topic {}{limit}", record.size(), record.topic),
    )
}
