//! What is held of a partition: records that must be ended, the places that are left of them, and holds of transactions.

use std::sync::Arc;
use std::sync::atomic::Ordering as Atomic;

use callgate_core::offsets::{Commit, Ticket};
use callgate_core::record::Record;

use super::Partition;

/// A record with its place: whoever holds it must end it, exactly once, with [`Partition::end`].
#[derive(Debug)]
pub struct Held {
    /// The record.
    pub record: Arc<Record>,
    /// Its place in the partition's offsets.
    pub ticket: Ticket,
    pub(super) size: usize,
}

/// What is left to hand back once the record itself is no longer needed here.
#[derive(Debug)]
#[must_use = "a place that is never handed back holds its partition's offset for ever"]
pub struct Place {
    partition: Arc<Partition>,
    ticket: Ticket,
    size: usize,
}

impl Place {
    /// The record has ended, and its end is durable.
    pub fn end(self) {
        self.partition.end(self.ticket, self.size);
    }

    /// The record is put down without an end: nobody is there any more who could end it. Its partition takes in nothing
    /// more until it is taken up anew, here or elsewhere, and the record comes again then.
    pub fn put_down(self) {
        self.partition.put_down(self.size);
    }

    /// The reply has been handed to the producer. The next record of the lane may be called before it has arrived.
    pub fn sent(&self) {
        self.partition.sent(self.ticket.offset());
    }

    /// Waits until earlier records of the lane have ended, whose replies are still on their way; or until the partition
    /// has gone.
    pub async fn await_earlier(&self) {
        self.partition.await_earlier(self.ticket.offset()).await;
    }

    /// The partition that the record belongs to.
    pub fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    /// What to commit for the partition of these places, all of one assignment, together with what ends their records.
    /// Each commit of the partition has a higher sequence number than the last. `None` where there is no place.
    pub fn commit_with<'p>(places: impl Iterator<Item = &'p Self> + Clone) -> Option<Commit> {
        let partition = &places.clone().next()?.partition;
        let mut state = partition.state();
        state.sequence += 1;
        let sequence = state.sequence;
        let commit = state.offsets.snapshot_with(places.map(|place| &place.ticket), partition.topic_id, sequence);
        Some(partition.with_planted_fault(commit, &state))
    }
}

/// As long as it lives the partition is not given up, though it may be fenced: a transaction holds ends of its records.
#[derive(Debug)]
pub struct Hold(pub(super) Arc<Partition>);

impl Drop for Hold {
    fn drop(&mut self) {
        if self.0.holds.fetch_sub(1, Atomic::SeqCst) == 1 && self.0.is_fenced() {
            self.0.wake.wake();
        }
    }
}

impl Held {
    /// Parts the record from its place.
    pub fn split(self, partition: &Arc<Partition>) -> (Arc<Record>, Place) {
        (self.record, Place { partition: partition.clone(), ticket: self.ticket, size: self.size })
    }
}
