//! A host, as far as the core can be asked: calls, retries, and a producer. Its partitions come from its
//! [membership] in the group.

use std::collections::VecDeque;
use std::time::Duration;

use callgate_core::disposition::{Answer, Ask, Disposition, decide};
use callgate_core::order::{LaneId, Ordering};
use callgate_core::retry::RetryPolicy;
use callgate_core::route::ClientErrors;

use super::chance::Chance;
use super::fault::Fault;
use super::judge::{Judge, Verdict};
use super::partition::{Job, Partition, Task, Work};
use super::source::{ATTEMPTS, Source};

mod membership;

pub(crate) use membership::OnItsWay;

const RETRY: RetryPolicy =
    RetryPolicy { attempts: ATTEMPTS, backoff: Duration::from_millis(100), max_backoff: Duration::from_millis(400) };

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

    /// Takes in some records of a partition, if there is room.
    pub(crate) fn poll(&mut self, at: usize, most: usize, ordering: Ordering, log: &[Source]) -> Verdict {
        self.partitions[at].take_in(most, ordering, log, self.fault)
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
}
