//! A decided outcome, and the records that it consists of as far as is known now.

use std::sync::Arc;

use callgate_core::failure::{Failure, Reason};
use callgate_core::record::OutgoingRecord;

use super::super::outbox::{BATCH_OVERHEAD, MAKE_OR_ALLOW, NOBODY_HAS_IT, RAISE, drop_answer, too_large};
use super::super::{Answer, End, Unit};
use crate::broker::{DeliveryError, Directory, KnownTopic, TopicProblem};

/// See the module.
pub(super) struct Outcome<U> {
    pub(super) unit: U,
    ending: Ending,
    /// The broker has refused its dead letter, whatever is known of the topic.
    unwritable: Option<String>,
    /// The topic of its dead letter does not take the record's own time.
    is_dated_now: bool,
}

/// How the record is to end.
pub(super) enum Ending {
    Done,
    Reply(Arc<OutgoingRecord>),
    DeadLetter { failure: Failure, answer: Option<Reply> },
}

/// What goes out beside a dead letter.
pub(super) enum Reply {
    Record(Arc<OutgoingRecord>),
    Error(u16),
}

impl Ending {
    pub(super) fn dead_letter(failure: Failure, answer: Answer) -> Self {
        let answer = match answer {
            Answer::Nothing => None,
            Answer::Reply(record) => Some(Reply::Record(Arc::new(record))),
            Answer::Error(status) => Some(Reply::Error(status)),
        };
        Self::DeadLetter { failure, answer }
    }
}

/// Why an outcome is not written now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// A topic must be asked about first, and that waits for the broker.
    Ask,
    /// Its dead letter cannot be written; so its partition waits until it can.
    Unwritable(String),
    /// No broker takes its reply now, and its partition waits until one does.
    Away(Arc<str>),
}

impl<U> Outcome<U> {
    pub(super) fn new(unit: U, ending: Ending) -> Self {
        Self { unit, ending, unwritable: None, is_dated_now: false }
    }

    /// Bytes that it holds beside its record.
    pub(super) fn size(&self) -> usize {
        match &self.ending {
            Ending::Reply(record) | Ending::DeadLetter { answer: Some(Reply::Record(record)), .. } => record.size(),
            _ => 0,
        }
    }
}

impl<U: Unit> Outcome<U> {
    /// The records to write: none, a reply, or a dead letter and perhaps an answer. A reply that its topic does not take
    /// becomes a dead letter by this. `may_wait`: topics that nothing is known of are asked about.
    ///
    /// # Errors
    /// [`Obstacle`].
    pub(super) fn compose(
        &mut self,
        directory: &Directory,
        may_wait: bool,
    ) -> Result<Vec<Arc<OutgoingRecord>>, Obstacle> {
        if let Ending::Reply(record) = &self.ending {
            match refusal(record, directory, may_wait)? {
                None => return Ok(vec![record.clone()]),
                Some(Refusal::Away) => return Err(Obstacle::Away(record.topic.clone())),
                Some(Refusal::Topic(reason)) => self.fail(topic_refused(record, &reason), None),
                Some(Refusal::Size(max)) => self.fail(too_large(record, Some(max)), Some(Reply::Error(500))),
            }
        }
        let Ending::DeadLetter { failure, answer } = &mut self.ending else { return Ok(Vec::new()) };
        if let Some(error) = self.unwritable.take() {
            return Err(Obstacle::Unwritable(error));
        }
        let topic = self.unit.dead_letter_topic();
        let KnownTopic { partitions, max_message_bytes, .. } = match ask(directory, &topic, may_wait)? {
            Ok(known) if known.is_away => return Err(Obstacle::Unwritable(NOBODY_HAS_IT.to_owned())),
            Ok(known) => known,
            Err(TopicProblem::Refused(reason)) => {
                return Err(Obstacle::Unwritable(format!("{reason}; {MAKE_OR_ALLOW}")));
            }
            Err(TopicProblem::NoAnswer(reason)) => return Err(Obstacle::Unwritable(reason)),
        };
        let max_bytes = max_message_bytes.map(|max| max.saturating_sub(BATCH_OVERHEAD));
        let mut letter = self.unit.dead_letter(failure, partitions, max_bytes);
        if self.is_dated_now {
            letter.timestamp = None;
        }
        let mut records = vec![Arc::new(letter)];
        let record = match answer {
            None => None,
            Some(Reply::Record(record)) => Some(record.clone()),
            Some(Reply::Error(status)) => self.unit.error_reply(*status, failure).map(Arc::new),
        };
        if let Some(record) = record {
            match refusal(&record, directory, may_wait)? {
                None => records.push(record),
                Some(refusal) => {
                    drop_answer(
                        &record,
                        &match refusal {
                            Refusal::Topic(reason) => reason,
                            Refusal::Away => NOBODY_HAS_IT.to_owned(),
                            Refusal::Size(max) => too_large(&record, Some(max)).message.to_string(),
                        },
                    );
                    *answer = None;
                }
            }
        } else {
            *answer = None;
        }
        Ok(records)
    }

    /// One of its records, `index` among those composed, can never be written as it is.
    pub(super) fn refuse(
        &mut self,
        index: usize,
        records: &[Arc<OutgoingRecord>],
        error: &str,
        directory: &Directory,
        cause: &Cause,
    ) {
        let record = &records[index];
        match (&mut self.ending, cause) {
            (Ending::DeadLetter { answer, .. }, _) if index > 0 => {
                drop_answer(record, error);
                *answer = None;
            }
            (Ending::DeadLetter { .. }, Cause::OtherTime) if !self.is_dated_now => self.is_dated_now = true,
            (Ending::DeadLetter { .. }, Cause::TooLarge) => self.unwritable = Some(format!("{error}; {RAISE}")),
            (Ending::DeadLetter { .. }, Cause::Topic { .. }) => {
                self.unwritable = Some(format!("{error}; {MAKE_OR_ALLOW}"));
            }
            (Ending::DeadLetter { .. }, _) => self.unwritable = Some(error.to_owned()),
            (_, Cause::Topic { is_missing }) => {
                directory.refuse(&record.topic, error.to_owned(), *is_missing);
                self.fail(topic_refused(record, error), None);
            }
            (_, Cause::TooLarge) => self.fail(too_large(record, None), Some(Reply::Error(500))),
            (_, Cause::OtherTime | Cause::Other) => {
                let message = format!("the broker refuses the reply to {}: {error}", record.topic);
                self.fail(Failure::new(Reason::ReplyFailed, message), Some(Reply::Error(500)));
            }
        }
    }

    fn fail(&mut self, failure: Failure, answer: Option<Reply>) {
        self.ending = Ending::DeadLetter { failure, answer };
    }

    /// It is durable.
    pub(super) fn end(self) {
        let end = match self.ending {
            Ending::Done => End::Done,
            Ending::Reply(_) => End::Replied,
            Ending::DeadLetter { failure, answer } => {
                End::DeadLettered { reason: failure.reason, answered: answer.is_some() }
            }
        };
        self.unit.end(end);
    }
}

/// Why a record that was sent can never be written.
pub(super) enum Cause {
    Topic { is_missing: bool },
    TooLarge,
    OtherTime,
    Other,
}

impl Cause {
    pub(super) fn of(error: &DeliveryError) -> Self {
        match error {
            DeliveryError::Topic(_) => Self::Topic { is_missing: error.is_missing() },
            error if error.is_too_large() => Self::TooLarge,
            error if error.is_of_another_time() => Self::OtherTime,
            _ => Self::Other,
        }
    }
}

enum Refusal {
    Topic(String),
    Away,
    Size(usize),
}

/// Whether the record's topic is known not to take it.
fn refusal(record: &OutgoingRecord, directory: &Directory, may_wait: bool) -> Result<Option<Refusal>, Obstacle> {
    Ok(match ask(directory, &record.topic, may_wait)? {
        Ok(known) if known.is_away => Some(Refusal::Away),
        Ok(KnownTopic { max_message_bytes: Some(max), .. }) if record.size() + BATCH_OVERHEAD > max => {
            Some(Refusal::Size(max))
        }
        Err(TopicProblem::Refused(reason)) => Some(Refusal::Topic(reason)),
        Ok(_) | Err(TopicProblem::NoAnswer(_)) => None,
    })
}

fn ask(directory: &Directory, topic: &Arc<str>, may_wait: bool) -> Result<Result<KnownTopic, TopicProblem>, Obstacle> {
    match directory.known(topic) {
        Some(known) => Ok(known.map_err(TopicProblem::Refused)),
        None if may_wait => Ok(directory.look_up_now(topic)),
        None => Err(Obstacle::Ask),
    }
}

fn topic_refused(record: &OutgoingRecord, reason: &str) -> Failure {
    Failure::new(Reason::ReplyFailed, format!("the broker refuses the reply topic {}: {reason}", record.topic))
}
