//! One assigned partition, from its assignment to its revocation: the records that wait or are being worked on.
//!
//! Shared by the thread that feeds it, the workers that empty its lanes, and the producer's thread that reports what
//! has arrived. A new assignment of the same partition is a new value: work of the old one is fenced and cannot end
//! anything of the new one.

mod letters;
mod place;
mod stops;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering as Atomic};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callgate_core::metadata::{Metadata, UNKNOWN_TOPIC};
use callgate_core::offsets::{Commit, Offsets, Ticket};
use callgate_core::order::{LaneId, Lanes, Ordering};
use callgate_core::record::Record;
use tokio::sync::Notify;

use self::letters::Letters;
pub use self::place::{Held, Hold, Place};
use self::stops::Stops;
use crate::broker::{TopicPartition, Wake};
use crate::planted;

/// Ends that are worth waking the feeding thread for, where it was full. It looks now and then without being woken, too.
const ENDS_A_WAKE: usize = 256;
/// With so many waiting for their turn, it is behind.
const BEHIND: usize = 128;

/// How much of a partition may be in memory, waiting or being worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Records.
    pub records: usize,
    /// Bytes of keys, values and headers. One record is taken in however large it is.
    pub bytes: usize,
}

#[derive(Debug)]
struct State {
    lanes: Lanes<Held>,
    offsets: Offsets,
    sequence: u64,
    bounds: Bounds,
    records: usize,
    bytes: usize,
    started: usize,
    // While the bounds keep records out: so many ends until the thread that feeds is woken. Not for each of them, and not
    // at a share of the bounds, since those that wait for one of their key may fill any share.
    ends_until_wake: usize,
    commit_anyway: bool,
    letters: Letters,
}

impl State {
    fn is_full(&self) -> bool {
        self.records > 0 && (self.records >= self.bounds.records || self.bytes >= self.bounds.bytes)
    }

    /// Nothing more is taken in before some have ended.
    fn await_ends(&mut self) {
        self.ends_until_wake = (self.records / 2).clamp(1, ENDS_A_WAKE);
    }
}

/// See the module.
#[derive(Debug)]
pub struct Partition {
    /// Which partition.
    pub at: TopicPartition,
    topic_id: [u8; 16],
    ordering: Ordering,
    slot: usize,
    state: Mutex<State>,
    leaving: AtomicBool,
    holds: AtomicUsize,
    // Some of its records were put down: it must be taken up anew before it can go on.
    abandoned: AtomicBool,
    fenced: AtomicBool,
    behind: AtomicBool,
    fence: Notify,
    ends: Notify,
    stops: Stops,
    wake: Arc<Wake>,
}

/// With what a partition is taken up.
#[derive(Debug)]
pub struct Beginning {
    /// The topic's id, or zeros.
    pub topic_id: [u8; 16],
    /// The first offset to take in.
    pub position: i64,
    /// What the group has committed beside it, if anything: which records have ended above it.
    pub metadata: Option<Metadata>,
    /// See [`Partition::slot`].
    pub slot: usize,
}

impl Partition {
    /// A partition taken up, in the assignment that `epoch` numbers.
    pub fn new(
        at: TopicPartition,
        ordering: Ordering,
        epoch: u64,
        beginning: Beginning,
        bounds: Bounds,
        wake: Arc<Wake>,
    ) -> Self {
        let Beginning { topic_id, position, metadata, slot } = beginning;
        let (sequence, ended) = metadata.map_or_else(Default::default, |known| (known.sequence, known.ended));
        let state = State {
            lanes: Lanes::new(),
            offsets: Offsets::new(epoch, position, ended),
            sequence,
            bounds,
            records: 0,
            bytes: 0,
            started: 0,
            ends_until_wake: 0,
            commit_anyway: false,
            letters: Letters::default(),
        };
        Self {
            at,
            topic_id,
            ordering,
            slot,
            state: Mutex::new(state),
            leaving: AtomicBool::new(false),
            holds: AtomicUsize::new(0),
            abandoned: AtomicBool::new(false),
            fenced: AtomicBool::new(false),
            behind: AtomicBool::new(false),
            fence: Notify::new(),
            ends: Notify::new(),
            stops: Stops::default(),
            wake,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many more records may be taken in now; 0 while it is full or stopped.
    pub fn room(&self) -> usize {
        if self.is_abandoned() || self.stopped().is_some() {
            return 0;
        }
        let state = self.state();
        if state.is_full() { 0 } else { state.bounds.records.saturating_sub(state.records).max(1) }
    }

    /// Takes a record in. Gives the lane that must be started, if it is an idle one.
    ///
    /// # Errors
    /// The record comes back: the metadata of a commit could not describe its end beside those of the others. There is
    /// room again when some have ended.
    pub fn offer(&self, record: Arc<Record>) -> Result<Option<LaneId>, Arc<Record>> {
        planted::die("die-after-poll");
        let mut state = self.state();
        if !state.offsets.takes(record.coordinate.offset) {
            state.await_ends();
            return Err(record);
        }
        // Below the position, or ended already before this assignment: nothing is left to do.
        let Some(ticket) = state.offsets.begin(record.coordinate.offset) else { return Ok(None) };
        let size = record.size();
        state.records += 1;
        state.bytes += size;
        if state.is_full() {
            state.await_ends();
        }
        let key = record.key.clone();
        let held = Held { record, ticket, size };
        let ordering = if planted::fault("wrong-lane") { Ordering::Unordered } else { self.ordering };
        Ok(state.lanes.admit(ordering, key.as_ref(), held, size))
    }

    /// The lane's next record; `None` ends the lane.
    pub fn next(&self, lane: &LaneId) -> Option<Held> {
        let mut state = self.state();
        let held = state.lanes.next(lane)?;
        state.started += 1;
        let is_behind = state.lanes.waiting() >= BEHIND;
        drop(state);
        self.behind.store(is_behind, Atomic::Relaxed);
        Some(held)
    }

    /// Whether so many of its records wait for their turn that a few milliseconds more are nothing to them.
    pub fn is_behind(&self) -> bool {
        self.behind.load(Atomic::Relaxed)
    }

    fn end(&self, ticket: Ticket, size: usize) {
        let (mut state, offset) = (self.state(), ticket.offset());
        if !state.offsets.end(ticket) {
            return;
        }
        let is_awaited = state.letters.ended(self.ordering, offset);
        state.records -= 1;
        state.bytes -= size;
        state.started -= 1;
        let made_room = state.ends_until_wake == 1;
        state.ends_until_wake = state.ends_until_wake.saturating_sub(1);
        let drained = state.started == 0 && state.lanes.waiting() == 0;
        drop(state);
        if is_awaited {
            self.ends.notify_waiters();
        }
        if made_room || drained {
            self.wake.wake();
        }
    }

    fn put_down(&self, size: usize) {
        self.abandoned.store(true, Atomic::Release);
        let mut state = self.state();
        state.records -= 1;
        state.bytes -= size;
        state.started -= 1;
        drop(state);
        self.wake.wake();
    }

    /// Takes in nothing more and forgets what waits, since its handler has gone or its order has changed. Those being
    /// worked on end.
    pub fn abandon(&self) {
        self.abandoned.store(true, Atomic::Release);
        self.drain();
        self.wake.wake();
    }

    /// Whether it must be taken up anew before it can go on.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Atomic::Acquire)
    }

    /// What is sequential in it.
    pub fn ordering(&self) -> Ordering {
        self.ordering
    }

    /// What to commit now, if anything has changed since the last commit that counted.
    pub fn commit(&self) -> Option<Commit> {
        let mut state = self.state();
        (state.offsets.dirty() || state.commit_anyway).then(|| {
            state.sequence += 1;
            let commit = state.offsets.snapshot(self.topic_id, state.sequence);
            self.with_planted_fault(commit, &state)
        })
    }

    /// The commit, unless a fault is planted.
    fn with_planted_fault(&self, mut commit: Commit, state: &State) -> Commit {
        let in_flight = state.offsets.in_flight();
        let passed = match in_flight {
            _ if planted::fault("commit-what-was-taken-in") => in_flight,
            1.. if planted::fault("end-twice") => 1,
            _ => 0,
        };
        if passed > 0 || planted::fault("lose-metadata") {
            commit.metadata.clear();
        }
        commit.offset += passed as i64;
        commit.metadata = planted::outdated("outdated-metadata", &self.at.to_string(), commit.metadata);
        commit
    }

    /// Whether the topic's id is known, and another one than this.
    pub fn is_of_another_topic(&self, id: [u8; 16]) -> bool {
        self.topic_id != UNKNOWN_TOPIC && id != UNKNOWN_TOPIC && self.topic_id != id
    }

    /// The next commit is made even if nothing has ended: the partition had no offset yet.
    pub fn commit_anyway(&self) {
        self.state().commit_anyway = true;
    }

    /// Whether the group has no offset here as long as that commit has not counted.
    pub fn has_no_offset(&self) -> bool {
        self.state().commit_anyway
    }

    /// The lowest number that no other partition of the group has now: they are spread by it.
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// Keeps it from being given up while a transaction holds ends of its records; `None` once it is fenced. Who has a
    /// hold must still look whether it has been fenced since, before anything counts.
    pub fn hold(self: &Arc<Self>) -> Option<Hold> {
        // Counted first: whoever fences sees the hold, or it is not given out.
        self.holds.fetch_add(1, Atomic::SeqCst);
        let hold = Hold(self.clone());
        (!self.is_fenced()).then_some(hold)
    }

    /// Whether a transaction holds ends of its records.
    pub fn is_held(&self) -> bool {
        self.holds.load(Atomic::SeqCst) > 0
    }

    /// That commit counted.
    pub fn committed(&self, commit: &Commit) {
        let mut state = self.state();
        state.commit_anyway = false;
        state.offsets.committed(commit);
    }

    /// Forgets the records that wait; those being worked on go on. For the time before a revocation.
    pub fn drain(&self) {
        self.leaving.store(true, Atomic::Release);
        let mut state = self.state();
        state.lanes.clear();
    }

    /// Whether it is being given up: nothing that only waits should go on waiting.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Atomic::Acquire)
    }

    /// How many records are being worked on, their ends not yet durable.
    pub fn started(&self) -> usize {
        self.state().started
    }

    /// Below this offset all records have ended: where the group would go on.
    pub fn front(&self) -> i64 {
        self.state().offsets.committable()
    }

    /// Records in memory, waiting or being worked on.
    pub fn held(&self) -> usize {
        self.state().records
    }

    /// Changes the bounds: the number of partitions among which a tenant's are divided has changed.
    pub fn rebound(&self, bounds: Bounds) {
        self.state().bounds = bounds;
    }

    /// The partition is no longer ours. Work on it is given up; whatever ends later counts for nothing.
    pub fn fence(&self) {
        self.fenced.store(true, Atomic::SeqCst);
        self.drain();
        self.fence.notify_waiters();
    }

    /// Whether it is no longer ours.
    pub fn is_fenced(&self) -> bool {
        self.fenced.load(Atomic::SeqCst)
    }

    /// Waits until it is no longer ours.
    pub async fn fenced(&self) {
        let notified = self.fence.notified();
        tokio::pin!(notified);
        // Registered before the flag is looked at, so that a fence in between is not missed.
        notified.as_mut().enable();
        if !self.is_fenced() {
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests;
