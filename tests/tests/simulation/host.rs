//! A host, as far as the core can be asked: partitions with lanes and offsets, calls, retries, a producer and a committer.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use callgate_core::disposition::{Answer, Ask, Disposition, decide};
use callgate_core::metadata::{Ended, Metadata, UNKNOWN_TOPIC};
use callgate_core::offsets::{Commit, Offsets, Ticket};
use callgate_core::order::{LaneId, Lanes, Ordering};
use callgate_core::retry::RetryPolicy;
use callgate_core::route::ClientErrors;

use super::chance::Chance;
use super::fault::Fault;
use super::judge::{Judge, Verdict};
use super::source::{ATTEMPTS, Source};

/// Records of one partition in memory.
const BOUND: usize = 8;
/// How long work on a revoked partition may go on.
const DRAIN: Duration = Duration::from_millis(400);
const RETRY: RetryPolicy =
    RetryPolicy { attempts: ATTEMPTS, backoff: Duration::from_millis(100), max_backoff: Duration::from_millis(400) };

/// A record that was taken in, by its place in the log.
#[derive(Debug)]
pub(super) struct Job {
    record: usize,
    ticket: Ticket,
    attempt: u32,
}

#[derive(Debug)]
enum Work {
    /// Asks its lane for the next record.
    Next,
    Call(Job),
    Wait(Job, Duration),
    /// A dead letter or the answer beside it is on its way.
    Acknowledgement,
}

struct Task {
    lane: LaneId,
    work: Work,
}

/// What is on its way to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Reply,
    DeadLetter { answer: bool },
    Answer,
}

pub(crate) struct Shipment {
    pub(crate) partition: usize,
    pub(crate) offset: i64,
    pub(crate) what: What,
    assignment: u64,
    lane: LaneId,
    job: Option<Job>,
}

/// A commit of some partitions, on its way to the broker or back.
pub(crate) struct OnItsWay {
    pub(crate) commits: Vec<(usize, Commit, Vec<i64>)>,
    /// What the broker said, once it has.
    pub(crate) taken: Option<bool>,
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
    assignment: u64,
    pub(super) phase: Phase,
    offsets: Offsets,
    lanes: Lanes<Job>,
    tasks: Vec<Task>,
    /// The place in the log of the next record to take in.
    next: usize,
    in_memory: usize,
    started: usize,
    ended: Vec<i64>,
    sequence: u64,
    /// What had ended for all to see when it was taken up.
    sealed: BTreeSet<i64>,
    fenced: bool,
}

pub(crate) struct Host {
    pub(crate) partitions: Vec<Partition>,
    pub(crate) sends: VecDeque<Shipment>,
    pub(crate) acks: VecDeque<(Shipment, bool)>,
    pub(crate) commit: Option<OnItsWay>,
    assignments: u64,
    fault: Option<Fault>,
}

impl Host {
    pub(crate) fn new(fault: Option<Fault>, born: u64) -> Self {
        // Numbers of assignments are a host's own; two lives of a host never share one, as their tickets never meet.
        let assignments = born << 32;
        Self { partitions: Vec::new(), sends: VecDeque::new(), acks: VecDeque::new(), commit: None, assignments, fault }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Takes a partition up where the group has committed.
    pub(crate) fn take_up(&mut self, index: usize, committed: &(i64, String), sealed: BTreeSet<i64>, log: &[Source]) {
        let (position, text) = committed;
        let metadata = Metadata::decode(text.as_bytes(), UNKNOWN_TOPIC, *position);
        let (sequence, ended) = metadata.map_or((0, Ended::none()), |known| (known.sequence, known.ended));
        let ended = if self.has(Fault::IgnoreMetadata) { Ended::none() } else { ended };
        let position = if self.has(Fault::SkipFirst) { position + 1 } else { *position };
        self.assignments += 1;
        self.partitions.push(Partition {
            index,
            assignment: self.assignments,
            phase: Phase::Serving,
            offsets: Offsets::new(self.assignments, position, ended),
            lanes: Lanes::new(),
            tasks: Vec::new(),
            next: log.partition_point(|source| source.offset < position),
            in_memory: 0,
            started: 0,
            ended: Vec::new(),
            sequence,
            sealed,
            fenced: false,
        });
    }

    /// Takes in some records of a partition, if there is room.
    pub(crate) fn poll(&mut self, at: usize, most: usize, ordering: Ordering, log: &[Source]) -> Verdict {
        let (bounded, wrong_lane) = (!self.has(Fault::NoBounds), self.has(Fault::WrongLane));
        let partition = &mut self.partitions[at];
        for _ in 0..most {
            let Some(source) = log.get(partition.next) else { break };
            let full = bounded && partition.in_memory >= BOUND;
            if !matches!(partition.phase, Phase::Serving) || full || !partition.offsets.takes(source.offset) {
                break;
            }
            partition.next += 1;
            let Some(ticket) = partition.offsets.begin(source.offset) else { continue };
            if partition.sealed.contains(&source.offset) {
                let Partition { index, .. } = partition;
                return Err(format!(
                    "I2: {index}/{} is done again, though a commit said that it has ended",
                    source.offset
                ));
            }
            partition.in_memory += 1;
            if partition.in_memory > BOUND {
                return Err(format!("memory: {} records of partition {}", partition.in_memory, partition.index));
            }
            let job = Job { record: partition.next - 1, ticket, attempt: 0 };
            let ordering = if wrong_lane { Ordering::Unordered } else { ordering };
            if let Some(lane) = partition.lanes.admit(ordering, source.key.as_ref(), job, 1) {
                partition.tasks.push(Task { lane, work: Work::Next });
            }
        }
        Ok(())
    }

    /// Goes on with one of a partition's lanes.
    pub(crate) fn work(
        &mut self,
        at: usize,
        now: Duration,
        log: &[Source],
        chance: &mut Chance,
        judge: &mut Judge,
    ) -> Verdict {
        let Some(partition) = self.partitions.get_mut(at).filter(|partition| !partition.tasks.is_empty()) else {
            return Ok(());
        };
        let chosen = chance.below(partition.tasks.len());
        let task = &mut partition.tasks[chosen];
        let mut job = match std::mem::replace(&mut task.work, Work::Acknowledgement) {
            Work::Acknowledgement => return Ok(()),
            Work::Wait(job, until) if now < until => {
                task.work = Work::Wait(job, until);
                return Ok(());
            }
            Work::Next => {
                match partition.lanes.next(&task.lane) {
                    Some(job) => {
                        partition.started += 1;
                        task.work = Work::Call(job);
                    }
                    None => {
                        partition.tasks.swap_remove(chosen);
                    }
                }
                return Ok(());
            }
            Work::Wait(job, _) | Work::Call(job) => job,
        };

        let source = &log[job.record];
        job.attempt += 1;
        let outcome = source.call(job.attempt);
        let ask = Ask {
            addressed: source.asks,
            attempt: job.attempt + u32::from(self.fault == Some(Fault::MiscountAttempts)),
            client_errors: ClientErrors::DeadLetter,
            retry: &RETRY,
            jitter: chance.share(),
            now,
        };
        let lane = partition.tasks[chosen].lane.clone();
        let what = match decide(outcome.as_ref(), &ask) {
            Disposition::Retry { after } => {
                partition.tasks[chosen].work = Work::Wait(job, now + after);
                if self.fault == Some(Fault::RetryLosesPlace) {
                    partition.tasks.push(Task { lane, work: Work::Next });
                }
                return Ok(());
            }
            Disposition::Done => {
                judge.done(partition.index, source.offset);
                partition.tasks[chosen].work = Work::Next;
                partition.end(job.ticket);
                return Ok(());
            }
            Disposition::Reply => What::Reply,
            Disposition::DeadLetter { answer } => What::DeadLetter { answer: answer != Answer::None },
        };
        let runs_ahead = what == What::Reply || self.fault == Some(Fault::LaneRunsAhead);
        partition.tasks[chosen].work = if runs_ahead { Work::Next } else { Work::Acknowledgement };
        let (index, assignment) = (partition.index, partition.assignment);
        let shipment = Shipment { partition: index, offset: source.offset, what, assignment, lane, job: Some(job) };
        self.hand_over(at, shipment)
    }

    /// Hands a record to the producer.
    fn hand_over(&mut self, at: usize, mut shipment: Shipment) -> Verdict {
        if self.partitions[at].fenced {
            return Err(format!("{}/{} is written after it was fenced", shipment.partition, shipment.offset));
        }
        if shipment.what == What::Reply
            && self.has(Fault::CommitEarly)
            && let Some(job) = shipment.job.take()
        {
            self.partitions[at].end(job.ticket);
        }
        if shipment.what == (What::DeadLetter { answer: true }) && self.has(Fault::AnswerFirst) {
            let Shipment { partition, offset, assignment, ref lane, .. } = shipment;
            self.sends.push_back(Shipment {
                partition,
                offset,
                what: What::Answer,
                assignment,
                lane: lane.clone(),
                job: None,
            });
        }
        self.sends.push_back(shipment);
        Ok(())
    }

    /// The producer's next report is looked at.
    pub(crate) fn acknowledge(&mut self) -> Verdict {
        let Some((mut shipment, delivered)) = self.acks.pop_front() else { return Ok(()) };
        let assignment = shipment.assignment;
        let Some(at) = self.partitions.iter().position(|known| known.assignment == assignment) else { return Ok(()) };
        if self.partitions[at].fenced && !self.has(Fault::ProduceAfterFence) {
            return Ok(());
        }
        if !delivered && self.has(Fault::NeverResume) {
            return Ok(());
        }
        if !delivered && !self.has(Fault::IgnoreFailedDeadLetter) {
            // Only a dead letter fails; it is tried again, and its partition stands still until then.
            return self.hand_over(at, shipment);
        }
        if shipment.what == (What::DeadLetter { answer: true }) && !self.has(Fault::DropAnswer) {
            shipment.what = What::Answer;
            return self.hand_over(at, shipment);
        }
        let Some(job) = shipment.job.take() else { return Ok(()) };
        let partition = &mut self.partitions[at];
        let waits = |task: &&mut Task| task.lane == shipment.lane && matches!(task.work, Work::Acknowledgement);
        if shipment.what != What::Reply
            && let Some(task) = partition.tasks.iter_mut().find(waits)
        {
            task.work = Work::Next;
        }
        partition.end(job.ticket);
        if shipment.what == What::Answer && self.fault == Some(Fault::EndTwice) {
            let other = partition.tasks.iter_mut().find(|task| matches!(task.work, Work::Call(_) | Work::Wait(..)));
            if let Some(task) = other
                && let Work::Call(job) | Work::Wait(job, _) = std::mem::replace(&mut task.work, Work::Next)
            {
                partition.end(job.ticket);
            }
        }
        Ok(())
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

impl Partition {
    fn end(&mut self, ticket: Ticket) {
        let offset = ticket.offset();
        if self.offsets.end(ticket) {
            self.ended.push(offset);
            self.in_memory -= 1;
            self.started -= 1;
        }
    }

    fn snapshot(&mut self, fault: Option<Fault>) -> Commit {
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
    fn forget_waiting(&mut self, as_ended: bool) {
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

    fn fence(&mut self, fault: Option<Fault>) {
        self.fenced = true;
        self.lanes.clear();
        if fault != Some(Fault::ProduceAfterFence) {
            self.tasks.clear();
        }
    }
}
