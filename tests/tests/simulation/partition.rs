//! One assigned partition of a host: its offsets, its lanes, and what is at work in them.

use std::collections::BTreeSet;
use std::time::Duration;

use callgate_core::metadata::{Ended, Metadata, UNKNOWN_TOPIC};
use callgate_core::offsets::{Commit, Offsets, Ticket};
use callgate_core::order::{LaneId, Lanes, Ordering};

use super::fault::Fault;
use super::judge::Verdict;
use super::source::Source;

/// Records of one partition in memory.
const BOUND: usize = 8;

/// A record that was taken in, by its place in the log.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) record: usize,
    pub(super) ticket: Ticket,
    pub(super) attempt: u32,
}

#[derive(Debug)]
pub(super) enum Work {
    /// Asks its lane for the next record.
    Next,
    Call(Job),
    Wait(Job, Duration),
    /// A dead letter or the answer beside it is on its way.
    Acknowledgement,
}

pub(super) struct Task {
    pub(super) lane: LaneId,
    pub(super) work: Work,
}

pub(super) enum Phase {
    Serving,
    /// Revoked: what is being worked on may end until then.
    Leaving(Duration),
    /// Its last commit is on its way.
    LastCommit,
}

pub(crate) struct Partition {
    pub(crate) index: usize,
    pub(super) assignment: u64,
    pub(super) phase: Phase,
    pub(super) offsets: Offsets,
    pub(super) lanes: Lanes<Job>,
    pub(super) tasks: Vec<Task>,
    /// The place in the log of the next record to take in.
    next: usize,
    in_memory: usize,
    pub(super) started: usize,
    pub(super) ended: Vec<i64>,
    sequence: u64,
    /// What had ended for all to see when it was taken up.
    sealed: BTreeSet<i64>,
    pub(super) fenced: bool,
}

impl Partition {
    /// Takes a partition up where the group has committed.
    pub(super) fn take_up(
        index: usize,
        assignment: u64,
        committed: &(i64, String),
        sealed: BTreeSet<i64>,
        log: &[Source],
        fault: Option<Fault>,
    ) -> Self {
        let (position, text) = committed;
        let metadata = Metadata::decode(text.as_bytes(), UNKNOWN_TOPIC, *position);
        let (sequence, ended) = metadata.map_or((0, Ended::none()), |known| (known.sequence, known.ended));
        let ended = if fault == Some(Fault::IgnoreMetadata) { Ended::none() } else { ended };
        let position = if fault == Some(Fault::SkipFirst) { position + 1 } else { *position };
        Self {
            index,
            assignment,
            phase: Phase::Serving,
            offsets: Offsets::new(assignment, position, ended),
            lanes: Lanes::new(),
            tasks: Vec::new(),
            next: log.partition_point(|source| source.offset < position),
            in_memory: 0,
            started: 0,
            ended: Vec::new(),
            sequence,
            sealed,
            fenced: false,
        }
    }

    /// Takes in some records, if there is room.
    pub(super) fn take_in(&mut self, most: usize, ordering: Ordering, log: &[Source], fault: Option<Fault>) -> Verdict {
        let ordering = if fault == Some(Fault::WrongLane) { Ordering::Unordered } else { ordering };
        for _ in 0..most {
            let Some(source) = log.get(self.next) else { break };
            let full = fault != Some(Fault::NoBounds) && self.in_memory >= BOUND;
            if !matches!(self.phase, Phase::Serving) || full || !self.offsets.takes(source.offset) {
                break;
            }
            self.next += 1;
            let Some(ticket) = self.offsets.begin(source.offset) else { continue };
            if self.sealed.contains(&source.offset) {
                let (index, offset) = (self.index, source.offset);
                return Err(format!("I2: {index}/{offset} is done again, though a commit said that it has ended"));
            }
            self.in_memory += 1;
            if self.in_memory > BOUND {
                return Err(format!("memory: {} records of partition {}", self.in_memory, self.index));
            }
            let job = Job { record: self.next - 1, ticket, attempt: 0 };
            if let Some(lane) = self.lanes.admit(ordering, source.key.as_ref(), job, 1) {
                self.tasks.push(Task { lane, work: Work::Next });
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self, ticket: Ticket) {
        let offset = ticket.offset();
        if self.offsets.end(ticket) {
            self.ended.push(offset);
            self.in_memory -= 1;
            self.started -= 1;
        }
    }

    pub(super) fn snapshot(&mut self, fault: Option<Fault>) -> Commit {
        self.sequence += 1;
        let mut commit = self.offsets.snapshot(UNKNOWN_TOPIC, self.sequence);
        match fault {
            Some(Fault::LoseMetadata) => commit.metadata.clear(),
            Some(Fault::CommitAboveGap) => {
                commit.offset = self.ended.iter().max().map_or(commit.offset, |highest| commit.offset.max(highest + 1));
                commit.metadata.clear();
            }
            Some(Fault::MetadataOfAnotherMoment) => {
                let other = Metadata { topic_id: UNKNOWN_TOPIC, sequence: self.sequence, ended: Ended::none() };
                commit.metadata = other.encode(commit.offset + 1);
            }
            _ => {}
        }
        commit
    }

    /// What waits comes again elsewhere.
    pub(super) fn forget_waiting(&mut self, as_ended: bool) {
        if as_ended {
            let (lanes, tasks) = (&mut self.lanes, &self.tasks);
            let waiting: Vec<Job> = tasks
                .iter()
                .flat_map(|task| std::iter::from_fn(|| lanes.next(&task.lane)).collect::<Vec<_>>())
                .collect();
            for job in waiting {
                self.started += 1;
                self.end(job.ticket);
            }
        }
        self.in_memory -= self.lanes.clear();
    }

    pub(super) fn fence(&mut self, fault: Option<Fault>) {
        self.fenced = true;
        self.lanes.clear();
        if fault != Some(Fault::ProduceAfterFence) {
            self.tasks.clear();
        }
    }
}
