//! What an operator may know of a group, kept for the probes and `/metrics`.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use callgate_core::stop::Stop;

use super::lag::Lag;
use crate::pulse::Pulse;

/// A group as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupSnapshot {
    /// The member has been given its partitions (there may be none) and has not been thrown out since.
    pub joined: bool,
    /// The last topic that was found missing or forbidden since partitions came last. As long as all are, nothing is joined.
    pub unavailable: Option<String>,
    /// Why its client can do nothing any more: only a restart helps.
    pub failed: Option<String>,
    /// The group has been left, for good.
    pub left: bool,
    /// Partitions given to it that are not polled yet: their offsets are being asked for.
    pub opening: usize,
    /// Partitions being polled.
    pub assigned: usize,
    /// Those that take in nothing more, and why.
    pub stopped: Vec<(String, Stop)>,
    /// Rebalances since the start.
    pub rebalances: u64,
    /// Commits that the broker did not take.
    pub failed_commits: u64,
    /// Records in memory.
    pub held: usize,
    /// How far it is behind; `None` before the broker has told where the partitions end.
    pub lag: Option<Lag>,
}

/// A group's snapshot, shared between its polling thread and whoever asks.
#[derive(Debug)]
pub struct GroupStatus {
    /// The consumer group.
    pub group_id: String,
    /// Its turns on its polling thread, as long as it has not been left.
    pub pulse: Pulse,
    snapshot: Mutex<GroupSnapshot>,
}

impl GroupStatus {
    pub(super) fn new(group_id: String) -> Self {
        Self { group_id, pulse: Pulse::new(Instant::now()), snapshot: Mutex::default() }
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut GroupSnapshot)) {
        change(&mut self.snapshot.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The group as it is now.
    pub fn snapshot(&self) -> GroupSnapshot {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
