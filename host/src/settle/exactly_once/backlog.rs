//! What a writer has to write, in order: what an aborted transaction held, then what was handed over since. The outcomes
//! of a partition whose dead letter cannot be written stand aside until it can.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_core::record::OutgoingRecord;
use callgate_core::stop::{Stop, StopCause};

use super::super::Unit;
use super::super::outbox::{FIRST_PAUSE, MAX_PAUSE};
use super::outcome::{Obstacle, Outcome};
use super::queue::Queue;
use crate::broker::{Directory, TopicProblem};

/// Outcomes in one transaction at most: more make it no faster, and an abort costs more.
const MAX_OUTCOMES: usize = 2000;

/// An outcome with its records, ready to be written. Its partition is not given up as long as this lives.
pub(super) struct Ready<U: Unit> {
    pub(super) outcome: Outcome<U>,
    pub(super) records: Vec<Arc<OutgoingRecord>>,
    _hold: U::Hold,
}

/// A partition that stands aside.
struct Aside<U> {
    outcomes: VecDeque<Outcome<U>>,
    /// When it is tried again; `None`: that is going on.
    again: Option<Instant>,
    pause: Duration,
}

type Key = (Arc<str>, i32);

/// See the module.
pub(super) struct Backlog<U: Unit> {
    pub(super) queue: Arc<Queue<U>>,
    directory: Arc<Directory>,
    again: VecDeque<Outcome<U>>,
    aside: BTreeMap<Key, Aside<U>>,
    /// Outcomes that the next transaction takes.
    pub(super) take: usize,
}

impl<U: Unit> Backlog<U> {
    pub(super) fn new(queue: Arc<Queue<U>>, directory: Arc<Directory>) -> Self {
        Self { queue, directory, again: VecDeque::new(), aside: BTreeMap::new(), take: MAX_OUTCOMES }
    }

    /// How long there is nothing to do unless something is handed over; zero where there is.
    pub(super) fn idle(&self) -> Duration {
        if !self.again.is_empty() || !self.queue.is_empty() {
            return Duration::ZERO;
        }
        let next = self.aside.values().filter_map(|aside| aside.again).min();
        next.map_or(Duration::from_secs(60), |next| next.saturating_duration_since(Instant::now()))
    }

    /// Lets the partitions go on whose time has come.
    pub(super) fn try_again(&mut self) {
        let now = Instant::now();
        for aside in self.aside.values_mut().filter(|aside| aside.again.is_some_and(|again| again <= now)) {
            aside.again = None;
            if let Some(first) = aside.outcomes.front() {
                self.directory.forget(&first.unit.dead_letter_topic());
            }
            while let Some(outcome) = aside.outcomes.pop_back() {
                self.again.push_front(outcome);
            }
        }
    }

    /// The next outcome, with its records. `None`: there is none now, or, unless this `may_wait`, none whose topics are
    /// known.
    pub(super) fn next(&mut self, may_wait: bool) -> Option<Ready<U>> {
        loop {
            let mut outcome = self.again.pop_front().or_else(|| self.queue.pop())?;
            let Some(hold) = outcome.unit.hold() else {
                // Its partition has gone: whoever has it now does this record again.
                continue;
            };
            if let Some(aside) = self.aside.get_mut(&key(&outcome))
                && aside.again.is_some()
            {
                aside.outcomes.push_back(outcome);
                continue;
            }
            match outcome.compose(&self.directory, may_wait) {
                Ok(records) => return Some(Ready { outcome, records, _hold: hold }),
                Err(Obstacle::Ask) => {
                    self.again.push_front(outcome);
                    return None;
                }
                Err(Obstacle::Unwritable(reason)) => self.unwritable(outcome, &reason),
                Err(Obstacle::Away(topic)) => self.away(outcome, &topic),
            }
        }
    }

    /// Its dead letter cannot be written: nothing of its partition is before it can be.
    fn unwritable(&mut self, outcome: Outcome<U>, error: &str) {
        let unit = &outcome.unit;
        let (record, topic) = (unit.coordinate(), unit.dead_letter_topic());
        tracing::error!(
            target: "callgate::settle", code = "run.dead-letter-unwritable", topic = %record.topic,
            partition = record.partition, offset = record.offset, dead_letter_topic = %topic, error,
            "a dead letter cannot be written, so the record's partition stands still until it can"
        );
        unit.stop_partition(Stop::new(
            StopCause::DeadLetterUnwritable,
            format!("the dead letter of offset {} cannot be written to {topic}: {error}", record.offset),
        ));
        self.set_aside(outcome);
    }

    /// No broker takes its reply: nothing of its partition is written before one does, and all others go on.
    fn away(&mut self, outcome: Outcome<U>, topic: &str) {
        let record = outcome.unit.coordinate();
        tracing::error!(
            target: "callgate::settle", code = "run.reply-unwritable", topic = %record.topic,
            partition = record.partition, offset = record.offset, reply_topic = topic,
            "no broker takes replies to a topic now, so the record's partition stands still until one does"
        );
        outcome.unit.stop_partition(Stop::new(
            StopCause::ReplyUnwritable,
            format!("no broker takes the reply of offset {} to {topic} now", record.offset),
        ));
        self.set_aside(outcome);
    }

    fn set_aside(&mut self, outcome: Outcome<U>) {
        let first = Aside { outcomes: VecDeque::new(), again: None, pause: FIRST_PAUSE };
        let aside = self.aside.entry(key(&outcome)).or_insert(first);
        aside.again = Some(Instant::now() + aside.pause);
        aside.pause = (aside.pause * 2).min(MAX_PAUSE);
        aside.outcomes.push_back(outcome);
    }

    /// These were not written after all: they come first again, in their order.
    pub(super) fn put_back(&mut self, batch: Vec<Ready<U>>) {
        for ready in batch.into_iter().rev() {
            self.again.push_front(ready.outcome);
        }
    }

    /// These are durable.
    pub(super) fn end(&mut self, batch: Vec<Ready<U>>) {
        self.take = self.take.saturating_mul(2).min(MAX_OUTCOMES);
        for Ready { outcome, .. } in batch {
            let key = key(&outcome);
            // While others of its partition stand aside it was before them, and says nothing about them.
            if self.aside.get(&key).is_some_and(|aside| aside.again.is_none()) {
                self.aside.remove(&key);
                outcome.unit.resume_partition();
            }
            outcome.end();
        }
    }

    /// Whether some topic of these records that was missing is there after all, or may be.
    pub(super) fn are_there(&self, records: &[Arc<OutgoingRecord>]) -> bool {
        let topics: BTreeSet<_> = records.iter().map(|record| &record.topic).collect();
        let is_there = |topic: &&Arc<str>| {
            self.directory.forget(topic);
            !matches!(self.directory.look_up_now(topic), Err(TopicProblem::Refused(_)))
        };
        topics.iter().any(is_there)
    }

    /// Asks the broker again what the topics of these take: what is known of them may be wrong.
    pub(super) fn ask_again(&self, batch: &[Ready<U>]) {
        let records = batch.iter().flat_map(|ready| &ready.records);
        self.directory.ask_again(&records.map(|record| record.topic.clone()).collect());
    }

    /// Stops the partitions of all that waits, or lets them go on.
    pub(super) fn stop(&self, reason: Option<&str>) {
        let tell = |outcome: &Outcome<U>| match reason {
            Some(reason) => outcome.unit.stop_partition(Stop::new(StopCause::TransactionsRefused, reason)),
            None if self.aside.contains_key(&key(outcome)) => {}
            None => outcome.unit.resume_partition(),
        };
        self.again.iter().for_each(tell);
        self.queue.for_each(tell);
    }
}

fn key<U: Unit>(outcome: &Outcome<U>) -> Key {
    let at = outcome.unit.coordinate();
    (at.topic.clone(), at.partition)
}
