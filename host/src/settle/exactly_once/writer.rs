//! A writer: a thread with a transactional producer, which may wait for the broker as long as it likes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use callgate_core::record::OutgoingRecord;
use callgate_core::transaction::{self, Blame, Fate as RecordFate, Written, blame};

use super::super::outbox::MAX_PAUSE;
use super::super::{TransactionEnd, Unit};
use super::Common;
use super::backlog::{Backlog, Ready};
use super::outcome::Cause;
use super::parcel::Parcel;
use super::queue::Queue;
use super::transaction::{Commits, Fate, write};
use crate::broker::{DeliveryError, GroupQuestions, TransactionError, TransactionErrorKind, TransactionalProducer};

/// How long a new producer may wait for what an earlier one of its id has left.
const TAKE_OVER: Duration = Duration::from_secs(10);
/// How long one question for committed offsets may take; they may be held by an open transaction.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts at the same; doubled up to a second, or where nothing works at all to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// A topic that is missing is mostly about to be made, or was made anew: so often is it asked about before that is believed.
const DOUBTS: u32 = 3;
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Writer<U: Unit> {
    id: String,
    common: Arc<Common>,
    group: Arc<OnceLock<GroupQuestions>>,
    backlog: Backlog<U>,
    producer: Option<TransactionalProducer<Parcel>>,
    pause: Duration,
    /// The topics were asked about again since the broker refused a transaction and named nobody.
    asked_again: bool,
    /// How often since the last commit a topic was not believed to be missing.
    doubts: u32,
}

impl<U: Unit> Writer<U> {
    /// Starts the thread; it ends when the queue is closed.
    pub(super) fn start(id: String, common: Arc<Common>, group: Arc<OnceLock<GroupQuestions>>, queue: Arc<Queue<U>>) {
        thread::Builder::new()
            .name("settle-writer".into())
            .spawn(move || {
                let backlog = Backlog::new(queue, common.directory.clone());
                let pause = FIRST_PAUSE;
                Self { id, common, group, backlog, producer: None, pause, asked_again: false, doubts: 0 }.run();
            })
            .expect("the system has a thread left");
    }

    fn run(mut self) {
        // What a host of this name has left open when it died holds back the partitions that it had.
        if self.common.is_stable {
            self.take_over();
        }
        while !self.backlog.queue.is_closed() {
            self.backlog.try_again();
            let idle = self.backlog.idle();
            if !idle.is_zero() {
                self.backlog.queue.sleep(idle);
                continue;
            }
            if self.producer.is_none() {
                self.take_over();
            }
            if let Some(first) = self.backlog.next(true) {
                self.transact(vec![first]);
            }
        }
    }

    fn transact(&mut self, mut batch: Vec<Ready<U>>) {
        let (Some(producer), Some(group)) = (&self.producer, self.group.get()) else {
            return self.backlog.put_back(batch);
        };
        self.common.open.fetch_add(1, Ordering::AcqRel);
        let fate = write(producer, group, &mut batch, &mut self.backlog);
        let end = match &fate {
            Fate::Committed => TransactionEnd::Committed,
            Fate::Aborted { .. } => TransactionEnd::Aborted,
            Fate::InDoubt(..) => TransactionEnd::InDoubt,
        };
        batch[0].outcome.unit.transaction_ended(end);
        match fate {
            Fate::Committed => {
                self.pause = FIRST_PAUSE;
                (self.asked_again, self.doubts) = (false, 0);
                self.backlog.end(batch);
            }
            Fate::Aborted { failed, cause, is_broken } => {
                if is_broken {
                    self.producer = None;
                }
                self.mend(batch, &failed, cause);
            }
            Fate::InDoubt(error, commits) => self.decide(batch, error, &commits),
        }
        self.common.open.fetch_sub(1, Ordering::AcqRel);
    }

    /// After an abort: takes out what is at fault, and puts all else back.
    fn mend(
        &mut self,
        mut batch: Vec<Ready<U>>,
        failed: &BTreeMap<usize, DeliveryError>,
        cause: Option<TransactionError>,
    ) {
        let is_refused = cause.as_ref().is_some_and(|cause| cause.kind == TransactionErrorKind::Content);
        let missing = failed_with(&batch, failed, DeliveryError::is_missing);
        if self.doubts < DOUBTS && self.backlog.are_there(&missing) {
            self.doubts += 1;
            if let Some(producer) = &self.producer {
                let topics: BTreeSet<_> = missing.iter().map(|record| &record.topic).collect();
                topics.into_iter().for_each(|topic| producer.learn(topic, PATIENCE));
            }
            self.backlog.put_back(batch);
            return self.rest();
        }
        let places = batch
            .iter()
            .enumerate()
            .flat_map(|(outcome, ready)| (0..ready.records.len()).map(move |index| (outcome, index)))
            .collect::<Vec<_>>();
        let written: Vec<Written> = places
            .iter()
            .enumerate()
            .map(|(place, &(outcome, _))| Written { outcome, fate: fate_of(failed.get(&place)) })
            .collect();
        match blame(&written, is_refused && self.asked_again) {
            Blame::Nobody => {
                let reason = cause.map(|cause| cause.reason).or_else(|| Some(failed.values().next()?.to_string()));
                tracing::warn!(
                    target: "callgate::settle", code = "run.transaction-aborted", transactional_id = self.id,
                    error = reason, "a transaction was aborted and is written again"
                );
                if is_refused || !failed.is_empty() {
                    self.asked_again = is_refused;
                    self.backlog.ask_again(&batch);
                }
                self.backlog.put_back(batch);
                self.rest();
            }
            Blame::AmongFirst(outcomes) => {
                self.backlog.take = outcomes;
                self.backlog.put_back(batch);
            }
            Blame::Records(blamed) => {
                for place in blamed {
                    let (outcome, index) = places[place];
                    let ready = &mut batch[outcome];
                    let error = failed.get(&place);
                    let kind = error.map_or(Cause::Topic { is_missing: false }, Cause::of);
                    let reason = error.map(ToString::to_string).or_else(|| Some(cause.as_ref()?.reason.clone()));
                    let reason = reason.unwrap_or_default();
                    ready.outcome.refuse(index, &ready.records, &reason, &self.common.directory, &kind);
                }
                self.backlog.put_back(batch);
            }
        }
    }

    /// Finds out whether a transaction in doubt has counted.
    fn decide(&mut self, batch: Vec<Ready<U>>, error: String, commits: &Commits) {
        tracing::warn!(
            target: "callgate::settle", code = "run.transaction-in-doubt", transactional_id = self.id, error,
            "whether a transaction was committed is not known; the group's offsets will tell"
        );
        // The next producer of the id ends what this one has left, one way or the other.
        self.producer = None;
        self.take_over();
        match self.has_counted(&batch, commits) {
            Some(true) => self.backlog.end(batch),
            Some(false) => self.backlog.put_back(batch),
            // Whoever has the partitions now knows.
            None => drop(batch),
        }
    }

    fn has_counted(&self, batch: &[Ready<U>], commits: &Commits) -> Option<bool> {
        let group = self.group.get()?;
        let mut pause = FIRST_PAUSE;
        while !group.is_closed() && !self.backlog.queue.is_closed() {
            // All of its partitions have been committed or none, so any tells. But one that has gone may have been
            // committed by somebody else since: it must still be ours when the answer is there.
            let ours = batch.iter().find(|ready| !ready.outcome.unit.is_fenced())?;
            let at = ours.outcome.unit.coordinate();
            let (at, commit) =
                commits.iter().find(|(found, _)| found.partition == at.partition && found.topic == at.topic)?;
            match group.committed(std::slice::from_ref(at), PATIENCE) {
                Ok(_) if ours.outcome.unit.is_fenced() => continue,
                Ok(there) => {
                    let committed = there.first().and_then(|there| there.offset.zip(there.metadata.as_deref()));
                    return Some(transaction::has_counted(commit, committed));
                }
                Err(error) => tracing::debug!(target: "callgate::settle", error, "asking for committed offsets"),
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        None
    }

    /// Makes the producer, however long that takes.
    fn take_over(&mut self) {
        let (mut pause, mut stopped) = (FIRST_PAUSE, false);
        while !self.backlog.queue.is_closed() {
            let made = TransactionalProducer::new(&self.common.settings, &self.id)
                .and_then(|producer| producer.take_over(TAKE_OVER).map(|()| producer).map_err(|error| error.reason));
            match made {
                Ok(producer) => {
                    self.producer = Some(producer);
                    if stopped {
                        self.backlog.stop(None);
                    }
                    return;
                }
                Err(error) => {
                    tracing::error!(
                        target: "callgate::settle", code = "run.transactions-refused", transactional_id = self.id, error,
                        "no transaction can be begun; the partitions stand still until one can. May this tenant use the \
                         transactional id?"
                    );
                    self.backlog.stop(Some(&format!("no transaction can be begun: {error}")));
                    stopped = true;
                }
            }
            thread::sleep(pause);
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    fn rest(&mut self) {
        thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

/// The records of an aborted batch that failed so.
fn failed_with<U: Unit>(
    batch: &[Ready<U>],
    failed: &BTreeMap<usize, DeliveryError>,
    is: fn(&DeliveryError) -> bool,
) -> Vec<Arc<OutgoingRecord>> {
    let records = batch.iter().flat_map(|ready| &ready.records).enumerate();
    records.filter(|(place, _)| failed.get(place).is_some_and(is)).map(|(_, record)| record.clone()).collect()
}

fn fate_of(failed: Option<&DeliveryError>) -> RecordFate {
    match failed {
        None | Some(DeliveryError::Transient(_)) => RecordFate::Sound,
        Some(DeliveryError::Batch(_)) => RecordFate::Suspect,
        Some(DeliveryError::Topic(_)) => RecordFate::Guilty,
    }
}
