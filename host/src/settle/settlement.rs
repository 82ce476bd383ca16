//! The port of this room: one way of making ends durable behind it for each guarantee of delivery.

use std::sync::Arc;
use std::time::Duration;

use callgate_core::failure::Failure;
use callgate_core::record::OutgoingRecord;
use tokio::time::sleep;

use super::at_least_once::AtLeastOnce;
use super::exactly_once::{Common, ExactlyOnce};
use super::outbox::{FIRST_PAUSE, MAX_PAUSE};
use super::{Answer, Unit};
use crate::broker::{ClientSettings, Directory, GroupQuestions, KnownTopic, TopicProblem};

/// What the operator wants to be sure of.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Guarantee {
    /// Nothing is lost; after a crash some is repeated.
    #[default]
    AtLeastOnce,
    /// Nor is anything repeated, for whoever reads only what is committed.
    ExactlyOnce {
        /// This host's name among its replicas, if it has one that stays the same over restarts.
        instance: Option<String>,
    },
}

/// How the ends of a tenant's records are made durable. Each of its groups has a [`Settlement`].
pub enum Settlements<U: Unit> {
    /// One producer for all groups.
    AtLeastOnce(AtLeastOnce<U>),
    /// Producers for each group.
    ExactlyOnce(Arc<Common>),
}

impl<U: Unit> Settlements<U> {
    /// Makes what the groups share.
    ///
    /// # Errors
    /// librdkafka's own sentence, where it refuses the settings.
    pub fn new(settings: &ClientSettings, guarantee: &Guarantee) -> Result<Self, String> {
        Ok(match guarantee {
            Guarantee::AtLeastOnce => Self::AtLeastOnce(AtLeastOnce::new(settings)?),
            Guarantee::ExactlyOnce { instance } => Self::ExactlyOnce(Common::new(settings, instance.as_deref())?),
        })
    }

    /// For the records of one group, as long as it is joined.
    pub fn of_group(&self, group_id: &str) -> Settlement<U> {
        match self {
            Self::AtLeastOnce(way) => Settlement::AtLeastOnce(way.clone()),
            Self::ExactlyOnce(common) => Settlement::ExactlyOnce(ExactlyOnce::new(common, group_id)),
        }
    }

    /// Waits until everything that was sent has its answer, at most for `timeout`. Returns whether it has.
    pub fn flush(&self, timeout: Duration) -> bool {
        match self {
            Self::AtLeastOnce(way) => way.flush(timeout),
            Self::ExactlyOnce(common) => common.flush(timeout),
        }
    }
}

/// See the module.
pub enum Settlement<U: Unit> {
    /// Acknowledged first, its offset committed later.
    AtLeastOnce(AtLeastOnce<U>),
    /// With its offset in one transaction.
    ExactlyOnce(ExactlyOnce<U>),
}

impl<U: Unit> Settlement<U> {
    /// The group's client has been made. To be called before there are records.
    pub fn bind(&self, group: GroupQuestions) {
        match self {
            Self::AtLeastOnce(_) => {}
            Self::ExactlyOnce(way) => way.bind(group),
        }
    }

    /// What is known of the topics that may be written to.
    pub fn directory(&self) -> &Arc<Directory> {
        match self {
            Self::AtLeastOnce(way) => way.directory(),
            Self::ExactlyOnce(way) => way.directory(),
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
            Self::ExactlyOnce(way) => way.done(unit).await,
        }
    }

    /// Its reply ends the record. Returns before that: the next record of the lane may start, the order is kept.
    pub async fn reply(&self, unit: U, record: OutgoingRecord) {
        match self {
            Self::AtLeastOnce(way) => way.reply(unit, record).await,
            Self::ExactlyOnce(way) => way.reply(unit, record).await,
        }
    }

    /// Writes the dead letter, however long that takes, and with it the answer.
    pub async fn dead_letter(&self, unit: U, failure: Failure, answer: Answer) {
        match self {
            Self::AtLeastOnce(way) => way.dead_letter(unit, failure, answer).await,
            Self::ExactlyOnce(way) => way.dead_letter(unit, failure, answer).await,
        }
    }
}
