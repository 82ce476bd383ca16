//! The way out: a producer, what is known of its topics, and how a dead letter is written come what may.

use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_core::failure::{Failure, Reason};
use callgate_core::record::OutgoingRecord;
use callgate_core::stop::{Stop, StopCause};
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

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
/// How long an answer beside a dead letter may take to be acknowledged before it is dropped, and how often it is looked
/// meanwhile whether any broker would take it.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_LOOK: Duration = Duration::from_secs(2);
/// A batch's own header; a record is at least this much larger on the wire than its key, value and headers.
pub(super) const BATCH_OVERHEAD: usize = 61 + 7;

/// What is to be done about a dead letter that is refused for its topic, or for its size.
pub(super) const MAKE_OR_ALLOW: &str = "make the topic, or let this tenant write to it";
pub(super) const RAISE: &str = "raise `max.message.bytes` of the topic, at least to what the source topic takes";

/// What is wrong with a topic that is there, and has no leader.
pub(super) const NOBODY_HAS_IT: &str = "no broker takes what is written to it now";

/// What becomes of a record that somebody waits for.
type Acknowledged = oneshot::Receiver<Result<(), DeliveryError>>;

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
    /// then sends the answer, whose acknowledgement ends the record. Returns before that: the next record of the lane may
    /// start. While the dead letter cannot be written, the record's partition stands still.
    pub(super) async fn dead_letter(&self, unit: U, failure: Failure, answer: Answer) {
        unit.await_earlier().await;
        let topic = unit.dead_letter_topic();
        let mut pause = FIRST_PAUSE;
        if planted::fault("answer-first")
            && let Answer::Reply(record) = &answer
        {
            let _ = self.deliver_alone(record).await;
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

        let end = move |answered| End::DeadLettered { reason: failure.reason, answered };
        let record = match answer {
            Answer::Nothing => None,
            Answer::Reply(record) => Some(record),
            Answer::Error(_) if planted::fault("drop-answer") => None,
            Answer::Error(status) => unit.error_reply(status, &failure),
        };
        let Some(record) = record else { return unit.end(end(false)) };
        if let Ok(KnownTopic { is_away: true, .. }) = self.directory.look_up(&record.topic).await {
            drop_answer(&record, NOBODY_HAS_IT);
            return unit.end(end(false));
        }
        let first = self.hand_over(record.clone()).await;
        let outbox = self.clone();
        spawn_local(async move {
            let answered = outbox.await_answer(&record, first).await;
            unit.end(end(answered));
        });
    }

    /// Whether an answer that was sent arrives. One that cannot be written is dropped: nothing may wait for it for ever.
    async fn await_answer(&self, record: &OutgoingRecord, first: Acknowledged) -> bool {
        let delivered = async {
            match acknowledgement(first).await {
                Err(DeliveryError::Batch(_)) => self.deliver_alone(record).await,
                result => result,
            }
        };
        tokio::pin!(delivered);
        let began = Instant::now();
        loop {
            let error = match timeout(ANSWER_LOOK, &mut delivered).await {
                Ok(Ok(())) => return true,
                Ok(Err(error)) => error.to_string(),
                Err(_) => match self.directory.look_up_again(&record.topic).await {
                    Ok(known) if known.is_away => NOBODY_HAS_IT.to_owned(),
                    Ok(_) if began.elapsed() >= ANSWER_PATIENCE => format!("it took more than {ANSWER_PATIENCE:?}"),
                    Err(TopicProblem::Refused(reason)) => reason,
                    // Where no broker answers at all, everything waits.
                    Ok(_) | Err(TopicProblem::NoAnswer(_)) => continue,
                },
            };
            drop_answer(record, &error);
            return false;
        }
    }

    /// Whether a topic that was missing is there now, or may be.
    pub(super) async fn is_there_after_all(&self, topic: &Arc<str>) -> bool {
        self.directory.forget(topic);
        !matches!(self.directory.look_up(topic).await, Err(TopicProblem::Refused(_)))
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
        let KnownTopic { partitions, max_message_bytes, .. } = match self.directory.look_up(topic).await {
            Ok(known) => known,
            Err(TopicProblem::Refused(reason)) => return Err(format!("{reason}; {MAKE_OR_ALLOW}")),
            Err(TopicProblem::NoAnswer(reason)) => return Err(reason),
        };
        let max_bytes = max_message_bytes.map(|max| max.saturating_sub(BATCH_OVERHEAD));
        let mut letter = unit.dead_letter(failure, partitions, max_bytes);
        let mut delivered = self.deliver_alone(&letter).await;
        if delivered.as_ref().is_err_and(DeliveryError::is_of_another_time) {
            // The record's time is in its headers, too.
            letter.timestamp = None;
            delivered = self.deliver_alone(&letter).await;
        }
        delivered.map_err(|error| match &error {
            error if error.is_too_large() => format!("{error}; {RAISE}"),
            DeliveryError::Topic(_) => format!("{error}; {MAKE_OR_ALLOW}"),
            error => error.to_string(),
        })
    }

    /// Sends and waits for the acknowledgement.
    pub(super) async fn deliver(&self, record: OutgoingRecord) -> Result<(), DeliveryError> {
        acknowledgement(self.hand_over(record).await).await
    }

    /// Sends; whoever wants to know waits for the acknowledgement.
    async fn hand_over(&self, record: OutgoingRecord) -> Acknowledged {
        let (waiting, acknowledged) = oneshot::channel();
        self.send(Delivery { record, meaning: Meaning::Awaited(waiting) }).await;
        acknowledged
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

async fn acknowledgement(acknowledged: Acknowledged) -> Result<(), DeliveryError> {
    acknowledged.await.unwrap_or(Err(DeliveryError::lost()))
}

pub(super) fn drop_answer(record: &OutgoingRecord, error: &str) {
    tracing::warn!(
        target: "callgate::settle", code = "run.answer-dropped", topic = %record.topic, error,
        "an answer beside a dead letter could not be written and is dropped"
    );
}

pub(super) fn too_large(record: &OutgoingRecord, max: Option<usize>) -> Failure {
    let limit = max.map_or_else(String::new, |max| format!(", which takes {max} bytes (max.message.bytes)"));
    Failure::new(
        Reason::ReplyTooLarge,
        format!("the reply of {} bytes is too large for topic {}{limit}", record.size(), record.topic),
    )
}
