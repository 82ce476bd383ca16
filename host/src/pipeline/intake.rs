//! What a group's records meet first.

use std::sync::{Arc, Mutex, PoisonError};

use callgate_core::dead_letter::{DeadLetterPolicy, dead_letter_topic};
use callgate_core::order::{LaneId, Ordering};

use super::bound::Routes;
use super::jobs::{Job, Jobs};
use super::quota::Quota;
use super::room::SetAside;
use super::unit::Settlement;
use crate::broker::{FETCHED_AHEAD, GroupQuestions, TopicPartition};
use crate::consume::{Intake, Partition};

/// The routes of one group, and the workers' queue behind them.
pub(super) struct GroupIntake {
    pub(super) group_id: String,
    pub(super) create_dead_letter_topic: bool,
    pub(super) dead_letter: DeadLetterPolicy,
    pub(super) routes: Arc<Routes>,
    pub(super) jobs: Arc<Jobs>,
    pub(super) settlement: Arc<Settlement>,
    pub(super) quota: Arc<Quota>,
    // Memory for what the consumer has fetched ahead.
    pub(super) fetched: Mutex<SetAside>,
}

impl Intake for GroupIntake {
    fn joining(&self, group: GroupQuestions) {
        self.settlement.bind(group);
    }

    fn ordering(&self, topic: &str) -> Ordering {
        self.routes.get(topic).map(|bound| bound.route.ordering).unwrap_or_default()
    }

    fn routes(&self, topic: &str) -> bool {
        self.routes.get(topic).is_some()
    }

    fn assigned(&self, partitions: usize) {
        let bytes = (partitions * FETCHED_AHEAD) as u64;
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner).resize(bytes);
    }

    fn opened(&self, at: &TopicPartition, partitions: i32) {
        let topic = dead_letter_topic(&at.topic, &self.dead_letter);
        let directory = self.settlement.directory();
        let there = if self.create_dead_letter_topic {
            directory.ensure_dead_letters(&topic, &at.topic, partitions)
        } else {
            directory.is_there(&topic).map(|()| false)
        };
        match there {
            Ok(true) => tracing::info!(target: "callgate::pipeline", %topic, partitions, "made the dead-letter topic"),
            Ok(false) => {}
            Err(error) => tracing::warn!(
                target: "callgate::pipeline", code = "run.dead-letter-topic-missing", group = self.group_id, %topic, error,
                "the dead-letter topic is not there, and is not made; the first dead letter will stop its partition"
            ),
        }
    }

    fn start(&self, partition: Arc<Partition>, lane: LaneId) {
        let share = self.quota.share();
        let (routes, settlement) = (self.routes.clone(), self.settlement.clone());
        self.jobs.push(Job { share, partition, lane, routes, settlement });
    }
}
