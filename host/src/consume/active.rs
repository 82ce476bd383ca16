//! A partition that is being polled: its queue at the client, and how it is fed from there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_core::record::Record;
use callgate_core::stop::{Stop, StopCause};

use super::Intake;
use super::partition::Partition;
use crate::broker::{FeedError, PartitionFeed};

/// Records taken from one partition before the next one's turn.
const TURN: usize = 256;

/// How long one taking should last at most. What a record costs to take in depends on it: with ten thousand headers, a
/// thousand times as much as with a few.
const TAKING: Duration = Duration::from_micros(200);

pub(super) struct Active {
    pub(super) partition: Arc<Partition>,
    feed: PartitionFeed,
    // Taken from the feed, but not by the partition yet.
    set_aside: VecDeque<Arc<Record>>,
    // Records taken at once, as many as the time for it allows.
    at_once: usize,
    /// It has been revoked, or is about to be taken up anew: nothing more is taken in.
    pub(super) leaving: bool,
}

impl Active {
    pub(super) fn new(partition: Arc<Partition>, feed: PartitionFeed) -> Self {
        Self { partition, feed, set_aside: VecDeque::new(), at_once: 1, leaving: false }
    }

    /// Takes what the partition has room for, until some time. Returns whether there may be more right now.
    pub(super) fn feed(&mut self, intake: &dyn Intake, group: &str, until: Instant) -> bool {
        let room = self.partition.room().min(TURN);
        if self.leaving || room == 0 || !self.offer_again(intake) {
            return false;
        }
        let (mut left, mut now) = (room, Instant::now());
        while left > 0 {
            if now >= until {
                return true;
            }
            let (wanted, began) = (self.at_once.min(left), now);
            let taken = self.take(wanted, intake, group);
            now = Instant::now();
            let is_quick = now - began < TAKING;
            self.at_once = if is_quick { (self.at_once * 2).min(TURN) } else { (self.at_once / 2).max(1) };
            left -= taken;
            if taken < wanted {
                return false;
            }
        }
        // Less than a turn fills the partition: whoever makes room again wakes this thread.
        room == TURN
    }

    /// Takes so many that are there now. Returns how many there were; what is behind a stop for good stays untaken.
    fn take(&mut self, count: usize, intake: &dyn Intake, group: &str) -> usize {
        for taken in 0..count {
            match self.feed.take() {
                Some(Ok(record)) => self.offer(Arc::new(record), intake),
                Some(Err(error)) => {
                    self.failed(group, error);
                    if self.partition.is_stopped_for_good() {
                        return taken;
                    }
                }
                None => return taken,
            }
        }
        count
    }

    /// Below this offset nothing is left to be done: all records have ended, or there are none.
    pub(super) fn front(&self) -> i64 {
        let front = self.partition.front();
        let is_idle = self.set_aside.is_empty() && self.partition.held() == 0;
        let position = if is_idle { self.feed.position() } else { None };
        position.map_or(front, |position| position.max(front))
    }

    /// Takes a record that came by the group's main queue.
    pub(super) fn straggler(&mut self, record: Record, intake: &dyn Intake) {
        let record = Arc::new(record);
        if self.leaving {
            return;
        }
        if self.partition.stopped().is_none() {
            self.offer(record, intake);
        } else {
            self.set_aside.push_back(record);
        }
    }

    /// Offers a record, in order behind those that were set aside.
    fn offer(&mut self, record: Arc<Record>, intake: &dyn Intake) {
        if self.set_aside.is_empty() {
            match self.partition.offer(record) {
                Ok(Some(lane)) => intake.start(self.partition.clone(), lane),
                Ok(None) => {}
                Err(record) => self.set_aside.push_back(record),
            }
        } else {
            self.set_aside.push_back(record);
        }
    }

    /// Offers again what was set aside. Returns whether all of it was taken.
    fn offer_again(&mut self, intake: &dyn Intake) -> bool {
        for record in std::mem::take(&mut self.set_aside) {
            self.offer(record, intake);
        }
        self.set_aside.is_empty()
    }

    fn failed(&mut self, group: &str, error: FeedError) {
        let partition = &self.partition;
        match error {
            FeedError::OffsetOutOfRange => {
                tracing::error!(
                    target: "callgate::consume", code = "run.offset-out-of-range", group, partition = %partition.at,
                    "the partition stops: the offset to go on from does not exist. Was the topic deleted and made again, or \
                     did its retention delete records before they were read? Set the group's offset by hand \
                     (kafka-consumer-groups --reset-offsets) while no host runs, then start again"
                );
                partition.stop_for_good(Stop::new(StopCause::OffsetOutOfRange, "offset out of range"));
            }
            FeedError::BatchCorrupt { offset, reason } => {
                tracing::error!(
                    target: "callgate::consume", code = "run.batch-corrupt", group, partition = %partition.at, offset, reason,
                    "the partition stops: the batch of records that begins at this offset cannot be read. SIGHUP has it \
                     read again. If the broker's copy is damaged, restore it from a replica, or give its records up: set the \
                     group's offset behind the batch by hand (kafka-consumer-groups --reset-offsets) while no host runs, then \
                     start again"
                );
                let reason = format!("the batch at offset {offset} cannot be read");
                partition.stop_for_good(Stop::new(StopCause::BatchCorrupt, reason));
                self.feed.pause();
            }
            FeedError::Other(error) => tracing::warn!(
                target: "callgate::consume", code = "run.partition-error", group, partition = %partition.at, error,
                "the broker reports an error for a partition; trying again"
            ),
        }
    }
}

/// Whether to skip or to repeat the records of a topic that was made again is for a person to say.
pub(super) fn stop_recreated(group: &str, partition: &Partition) {
    tracing::error!(
        target: "callgate::consume", code = "run.topic-recreated", group, partition = %partition.at,
        "the partition stops: its topic was deleted and made again since the group's last commit, so the committed \
         offset says nothing about the records in it. Set the group's offset by hand (kafka-consumer-groups \
         --reset-offsets) while no host runs, then start again"
    );
    partition.stop_for_good(Stop::new(StopCause::TopicRecreated, "the topic was deleted and made again"));
}
