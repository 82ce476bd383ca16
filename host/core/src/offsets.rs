//! The place of a partition: which records have ended, and which offset may be committed.

use crate::incomplete::Incomplete;
use crate::metadata::{self, Ended, Metadata};

#[cfg(test)]
mod tests;

/// A record that was taken in and has not ended: its offset, and the assignment under which it was taken in.
///
/// It cannot be copied, and [`Offsets::end`] consumes it: a record ends once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a ticket that is never handed back holds its partition's offset for ever"]
pub struct Ticket {
    epoch: u64,
    offset: i64,
}

impl Ticket {
    /// The record's offset.
    pub fn offset(&self) -> i64 {
        self.offset
    }
}

/// What to commit for a partition: offset and metadata of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The lowest offset whose record has not ended: where a consumer goes on.
    pub offset: i64,
    /// What has ended above it, for [`Metadata::decode`]; at most [`metadata::MAX_BYTES`].
    pub metadata: String,
    change: u64,
}

/// The offsets of one partition during one assignment.
///
/// It tracks the records it was given and never expects a particular next offset, so the gaps that compaction and
/// transaction markers leave cost nothing. Nothing is committable above a record that has not ended.
#[derive(Debug)]
pub struct Offsets {
    epoch: u64,
    /// Not ended: the records in flight, and above `next` those that an earlier assignment left unended.
    incomplete: Incomplete,
    /// One above the last record received.
    next: i64,
    /// One above the highest offset that has ended.
    ended: i64,
    in_flight: usize,
    /// Counts what changed, so that a commit knows whether something has changed since.
    change: u64,
    committed: u64,
}

impl Offsets {
    /// Begins at the position from which the partition is consumed, with what the committed metadata says has ended
    /// above it. `epoch` numbers the assignments of this partition: tickets of another one are refused.
    pub fn new(epoch: u64, position: i64, ended: Ended) -> Self {
        let end = ended.end().max(position);
        Self {
            epoch,
            incomplete: ended.into_incomplete().filter(|&offset| offset >= position).collect(),
            next: position,
            ended: end,
            in_flight: 0,
            change: 0,
            committed: 0,
        }
    }

    /// Takes in the record at `offset`. `None`: skip it, it has ended (the metadata says so) or was taken in before.
    #[must_use = "the record ends by its ticket"]
    pub fn begin(&mut self, offset: i64) -> Option<Ticket> {
        if offset < self.next {
            return None;
        }
        // What lies between the last record and this one no longer exists, though it was unended once.
        while let Some(vanished) = self.incomplete.first_from(self.next).filter(|&vanished| vanished < offset) {
            self.incomplete.remove(vanished);
            self.change += 1;
        }
        self.next = offset + 1;
        if offset < self.ended && !self.incomplete.contains(offset) {
            return None;
        }
        self.incomplete.insert(offset);
        self.in_flight += 1;
        Some(Ticket { epoch: self.epoch, offset })
    }

    /// Notes that a record's end is durable. `false`: the ticket is of another assignment, and counts for nothing.
    pub fn end(&mut self, ticket: Ticket) -> bool {
        if ticket.epoch != self.epoch || !self.incomplete.remove(ticket.offset) {
            return false;
        }
        self.ended = self.ended.max(ticket.offset + 1);
        self.in_flight -= 1;
        self.change += 1;
        true
    }

    /// The offset that may be committed: the lowest whose record has not ended, else one above the last record.
    pub fn committable(&self) -> i64 {
        self.incomplete.first().unwrap_or_else(|| self.next.max(self.ended))
    }

    /// Records taken in that have not ended.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether the record at `offset`, the next one of the partition, may be taken in: whatever the order in which
    /// the records in flight end, the metadata will hold them. If not, keep the record until one has ended.
    pub fn takes(&self, offset: i64) -> bool {
        // Below `ended` stands only what the metadata of an earlier assignment held, so it will be held again.
        offset < self.ended || metadata::fits(&self.incomplete, offset)
    }

    /// Offset and metadata to commit now. `topic_id` is the broker's (zeros where it has none); `sequence` counts the
    /// commits of this partition over all assignments.
    pub fn snapshot(&self, topic_id: [u8; 16], sequence: u64) -> Commit {
        let offset = self.committable();
        let ended = Ended::new(self.incomplete.below(self.ended).collect(), self.ended);
        Commit { offset, metadata: Metadata { topic_id, sequence, ended }.encode(offset), change: self.change }
    }

    /// The same as if these had ended: what a transaction commits that holds their ends. They have not ended by that.
    pub fn snapshot_with<'t>(
        &mut self,
        ending: impl Iterator<Item = &'t Ticket>,
        topic_id: [u8; 16],
        sequence: u64,
    ) -> Commit {
        let ended = self.ended;
        let mut removed = Vec::new();
        for ticket in ending {
            if ticket.epoch == self.epoch && self.incomplete.remove(ticket.offset) {
                self.ended = self.ended.max(ticket.offset + 1);
                removed.push(ticket.offset);
            }
        }
        let commit = self.snapshot(topic_id, sequence);
        removed.into_iter().for_each(|offset| self.incomplete.insert(offset));
        self.ended = ended;
        commit
    }

    /// Notes that the broker has taken that commit.
    pub fn committed(&mut self, commit: &Commit) {
        self.committed = self.committed.max(commit.change);
    }

    /// Whether something has ended since the last commit that the broker took.
    pub fn dirty(&self) -> bool {
        self.change != self.committed
    }
}
