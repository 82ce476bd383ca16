//! What a host has of its group: partitions that come and go, and commits of them.

use std::collections::BTreeSet;
use std::time::Duration;

use callgate_core::offsets::Commit;

use super::super::fault::Fault;
use super::super::partition::{Partition, Phase};
use super::super::source::Source;
use super::Host;

/// How long work on a revoked partition may go on.
const DRAIN: Duration = Duration::from_millis(400);

/// A commit of some partitions, on its way to the broker or back.
pub(crate) struct OnItsWay {
    pub(crate) commits: Vec<(usize, Commit, Vec<i64>)>,
    /// What the broker said, once it has.
    pub(crate) taken: Option<bool>,
}

impl Host {
    /// Takes a partition up where the group has committed.
    pub(crate) fn take_up(&mut self, index: usize, committed: &(i64, String), sealed: BTreeSet<i64>, log: &[Source]) {
        self.assignments += 1;
        self.partitions.push(Partition::take_up(index, self.assignments, committed, sealed, log, self.fault));
    }

    /// Begins a commit of what has changed, if none is on its way.
    pub(crate) fn begin_commit(&mut self) {
        if self.commit.is_some() {
            return;
        }
        let fault = self.fault;
        let commits: Vec<_> = self
            .partitions
            .iter_mut()
            .filter(|partition| {
                matches!(partition.phase, Phase::Serving) && !partition.fenced && partition.offsets.dirty()
            })
            .map(|partition| (partition.index, partition.snapshot(fault), partition.ended.clone()))
            .collect();
        if !commits.is_empty() {
            self.commit = Some(OnItsWay { commits, taken: None });
        }
    }

    /// The broker's answer to the commit is looked at.
    pub(crate) fn end_commit(&mut self) {
        let Some(OnItsWay { commits, taken: Some(taken) }) = self.commit.take_if(|commit| commit.taken.is_some())
        else {
            return;
        };
        for (index, commit, _) in commits {
            let known = self.partitions.iter_mut().filter(|partition| partition.index == index);
            known.filter(|_| taken).for_each(|partition| partition.offsets.committed(&commit));
        }
    }

    /// The partition is to be given up.
    pub(crate) fn revoke(&mut self, at: usize, now: Duration) {
        let skip = self.has(Fault::SkipAtRebalance);
        let partition = &mut self.partitions[at];
        if matches!(partition.phase, Phase::Serving) {
            partition.phase = Phase::Leaving(now + DRAIN);
            partition.forget_waiting(skip);
        }
    }

    /// Goes on giving up a partition: returns whether it may be given away now.
    pub(crate) fn go(&mut self, at: usize, now: Duration) -> bool {
        let fault = self.fault;
        let partition = &mut self.partitions[at];
        match partition.phase {
            Phase::Serving => false,
            Phase::Leaving(until) => {
                if (partition.started == 0 || now >= until) && self.commit.is_none() {
                    partition.phase = Phase::LastCommit;
                    let commit = (partition.index, partition.snapshot(fault), partition.ended.clone());
                    if fault != Some(Fault::NoFence) {
                        partition.fence(fault);
                    }
                    self.commit = Some(OnItsWay { commits: vec![commit], taken: None });
                }
                false
            }
            Phase::LastCommit => self.commit.is_none(),
        }
    }

    /// Gives it up. A host that does not fence goes on with it.
    pub(crate) fn give_up(&mut self, at: usize) {
        if self.has(Fault::NoFence) {
            self.partitions[at].phase = Phase::Serving;
        } else {
            self.partitions.swap_remove(at);
        }
    }

    /// All its partitions were lost, as it learns now.
    pub(crate) fn lose_all(&mut self) {
        self.partitions.clear();
        self.commit = None;
    }
}
