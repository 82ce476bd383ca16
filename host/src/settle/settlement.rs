//! The port of this room: one way of making ends durable behind it for each guarantee of delivery.

use std::sync::Arc;
use std::time::Duration;

use callgate_core::failure::Failure;
use callgate_core::record::OutgoingRecord;
use tokio::time::sleep;

use super::at_least_once::AtLeastOnce;
use super::outbox::{FIRST_PAUSE, MAX_PAUSE};
use super::{Answer, Unit};
use crate::broker::{ClientSettings, Directory, KnownTopic, TopicProblem};

/// See the module. Made once a tenant; each of the tenant's groups has its own [of it](Self::of_group).
pub enum Settlement<U: Unit> {
    /// Acknowledged first, its offset committed later.
    AtLeastOnce(AtLeastOnce<U>),
}

impl<U: Unit> Settlement<U> {
    /// Makes the producer, and a thread that sees to what could not be delivered.
    ///
    /// # Errors
    /// librdkafka's own sentence, where it refuses the settings.
    pub fn new(settings: &ClientSettings) -> Result<Self, String> {
        AtLeastOnce::new(settings).map(Self::AtLeastOnce)
    }

    /// For the records of one of the tenant's groups.
    pub fn of_group(&self, _group_id: &str) -> Self {
        match self {
            Self::AtLeastOnce(way) => Self::AtLeastOnce(way.clone()),
        }
    }

    /// What is known of the topics that may be written to.
    pub fn directory(&self) -> &Arc<Directory> {
        match self {
            Self::AtLeastOnce(way) => way.directory(),
        }
    }

    /// The topic as the broker describes it; waits while the broker does not answer.
    ///
    /// # Errors
    /// The broker's word: the topic is missing or forbidden.
    pub async fn topic(&self, topic: &Arc<str>) -> Result<KnownTopic, String> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.directory().look_up(topic).await {
                Ok(known) => return Ok(known),
                Err(TopicProblem::Refused(reason)) => return Err(reason),
                Err(TopicProblem::NoAnswer(reason)) => {
                    tracing::warn!(target: "callgate::settle", code = "run.topic-not-described", %topic, reason, "waiting for the broker to describe a topic");
                    sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
    }

    /// Nothing is left to do for the record.
    pub async fn done(&self, unit: U) {
        match self {
            Self::AtLeastOnce(way) => way.done(unit),
        }
    }

    /// Its reply ends the record. Returns before that: the next record of the lane may start, the order is kept.
    pub async fn reply(&self, unit: U, record: OutgoingRecord) {
        match self {
            Self::AtLeastOnce(way) => way.reply(unit, record).await,
        }
    }

    /// Writes the dead letter, however long that takes, and with it the answer.
    pub async fn dead_letter(&self, unit: U, failure: Failure, answer: Answer) {
        match self {
            Self::AtLeastOnce(way) => way.dead_letter(unit, failure, answer).await,
        }
    }

    /// Waits until everything handed over has its end, at most for `timeout`. Returns whether it has.
    pub fn flush(&self, timeout: Duration) -> bool {
        match self {
            Self::AtLeastOnce(way) => way.flush(timeout),
        }
    }
}
