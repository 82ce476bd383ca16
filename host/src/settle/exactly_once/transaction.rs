//! One transaction, from its beginning to its end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use callgate_core::offsets::Commit;

use super::super::Unit;
use super::backlog::{Backlog, Ready};
use super::parcel::{Fates, Parcel};
use crate::broker::{
    DeliveryError, GroupQuestions, PRODUCER_BUFFER, TopicPartition, TransactionError, TransactionErrorKind,
    TransactionalProducer,
};
use crate::planted;

/// How long outcomes that arrive meanwhile are added to an open transaction.
const FILLING: Duration = Duration::from_millis(500);
/// Bytes of a transaction's records at most, beside one outcome of whatever size.
const MAX_BYTES: usize = PRODUCER_BUFFER / 4;
/// Longer than the client itself tries.
const ARRIVAL: Duration = Duration::from_secs(15);
/// The producer's queue is full.
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(1);

/// What is committed for a partition.
pub(super) type Commits = Vec<(TopicPartition, Commit)>;

/// How a transaction has ended.
pub(super) enum Fate {
    /// All of it counts.
    Committed,
    /// Nothing of it counts.
    Aborted {
        /// Records that failed, by their places.
        failed: BTreeMap<usize, DeliveryError>,
        /// Why it was aborted, where that is not what failed.
        cause: Option<TransactionError>,
        /// The producer can do nothing any more.
        is_broken: bool,
    },
    /// Nobody knows. The producer can do nothing any more.
    InDoubt(String, Commits),
}

/// Writes the batch, and what the backlog has more for the same transaction, which joins the batch.
pub(super) fn write<U: Unit>(
    producer: &TransactionalProducer<Parcel>,
    group: &GroupQuestions,
    batch: &mut Vec<Ready<U>>,
    backlog: &mut Backlog<U>,
) -> Fate {
    if let Err(error) = producer.begin() {
        return Fate::Aborted { failed: BTreeMap::new(), cause: Some(error), is_broken: true };
    }
    let fates = Arc::new(Fates::default());
    let sent = fill(producer, batch, backlog, &fates);
    match commit(producer, group, batch, &fates, sent) {
        Ok(()) => Fate::Committed,
        Err(Stop::InDoubt(error, commits)) => Fate::InDoubt(error.reason, commits),
        Err(Stop::Abort(cause)) => {
            let cause = cause.or_else(|| producer.failure());
            let is_fatal = cause.as_ref().is_some_and(|cause| cause.kind == TransactionErrorKind::Fatal);
            // Where it cannot be aborted, the next producer of the id sees to it. A broker that has refused the first
            // partitions of a transaction knows of none, and will not abort it either.
            let is_broken = is_fatal || producer.abort().is_err();
            Fate::Aborted { failed: fates.failed(), cause, is_broken }
        }
    }
}

/// Sends in order. Returns how many records that were.
fn fill<U: Unit>(
    producer: &TransactionalProducer<Parcel>,
    batch: &mut Vec<Ready<U>>,
    backlog: &mut Backlog<U>,
    fates: &Arc<Fates>,
) -> usize {
    let began = Instant::now();
    let (mut sent, mut bytes, mut next) = (0, 0, 0);
    loop {
        while let Some(ready) = batch.get(next) {
            for record in &ready.records {
                planted::die("die-before-produce");
                let mut parcel = Box::new(Parcel { record: record.clone(), place: sent, fates: fates.clone() });
                while let Err(back) = producer.send(parcel) {
                    parcel = back;
                    thread::sleep(FULL_QUEUE_PAUSE);
                }
                planted::die("die-after-produce");
                sent += 1;
                bytes += record.size();
            }
            next += 1;
        }
        if batch.len() >= backlog.take || bytes >= MAX_BYTES || began.elapsed() > FILLING {
            return sent;
        }
        match backlog.next(false) {
            Some(ready) => batch.push(ready),
            None => return sent,
        }
    }
}

/// Why a transaction is not committed.
enum Stop {
    Abort(Option<TransactionError>),
    InDoubt(TransactionError, Commits),
}

fn commit<U: Unit>(
    producer: &TransactionalProducer<Parcel>,
    group: &GroupQuestions,
    batch: &[Ready<U>],
    fates: &Fates,
    sent: usize,
) -> Result<(), Stop> {
    if !fates.await_arrival(sent, ARRIVAL) {
        return Err(Stop::Abort(None));
    }
    planted::die("die-when-acknowledged");
    if planted::fault("commit-after-revoke") {
        // Until the partitions have gone to another host, which works on them: as long as the broker lets it be open.
        let until = Instant::now() + Duration::from_secs(7);
        while Instant::now() < until && ours(batch).is_ok() {
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(Duration::from_secs(2));
    }
    // Asked before it is looked whether the partitions are still ours: so it is a generation in which they were.
    let membership = group.membership().ok_or_else(|| {
        let reason = "the host is not a member of the group now".to_owned();
        Stop::Abort(Some(TransactionError { kind: TransactionErrorKind::Abort, reason }))
    })?;
    if !planted::fault("commit-after-revoke") {
        ours(batch)?;
    }
    let commits = commits(batch);
    let offsets: Vec<_> =
        commits.iter().map(|(at, commit)| (at.clone(), commit.offset, commit.metadata.as_str())).collect();
    if !planted::fault("offsets-outside-of-transaction") {
        producer.send_offsets(&offsets, membership).map_err(|error| Stop::Abort(Some(error)))?;
    }
    if !planted::fault("commit-after-revoke") {
        ours(batch)?;
    }
    planted::die("die-before-commit");
    producer.commit().map_err(|error| Stop::InDoubt(error, commits))?;
    planted::die("die-after-commit");
    Ok(())
}

/// Whether all partitions are still ours.
fn ours<U: Unit>(batch: &[Ready<U>]) -> Result<(), Stop> {
    if batch.iter().any(|ready| ready.outcome.unit.is_fenced()) {
        let reason = "a partition has gone to another host".to_owned();
        return Err(Stop::Abort(Some(TransactionError { kind: TransactionErrorKind::Abort, reason })));
    }
    Ok(())
}

/// Offset and metadata of each partition as they are when this batch has ended.
fn commits<U: Unit>(batch: &[Ready<U>]) -> Commits {
    let mut partitions: HashMap<(&Arc<str>, i32), Vec<&U>> = HashMap::new();
    for Ready { outcome, .. } in batch {
        let at = outcome.unit.coordinate();
        partitions.entry((&at.topic, at.partition)).or_default().push(&outcome.unit);
    }
    let commit = |((topic, partition), units): (_, Vec<&U>)| {
        let topic: &Arc<str> = topic;
        Some((TopicPartition { topic: topic.clone(), partition }, U::commit_with(&units)?))
    };
    partitions.into_iter().filter_map(commit).collect()
}
