//! A group's commits, one on its way at a time: so a later one never overtakes an earlier one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_core::offsets::Commit;

use super::partition::Partition;
use crate::broker::{GroupConsumer, TopicPartition};
use crate::planted;

/// After a crash, what ended since the last commit is repeated: the contract says at most 1 s.
const INTERVAL: Duration = Duration::from_millis(500);

pub(super) struct Commits {
    // Only where there was no offset: all else is committed in transactions.
    first_only: bool,
    on_its_way: Option<Vec<(Arc<Partition>, Commit)>>,
    // Nobody waits for these answers any more, but they still come, before those of later commits.
    abandoned: usize,
    next: Instant,
}

impl Commits {
    pub(super) fn new(transactional: bool) -> Self {
        Self { first_only: transactional, on_its_way: None, abandoned: 0, next: Instant::now() }
    }

    /// Whether it is time again. To be asked with the present moment.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + INTERVAL;
        }
        due
    }

    /// The next one is due at once.
    pub(super) fn hurry(&mut self) {
        self.next = Instant::now();
    }

    pub(super) fn is_on_its_way(&self) -> bool {
        self.on_its_way.is_some()
    }

    /// Begins to commit what has changed in these partitions, if anything has.
    pub(super) fn begin<'a>(
        &mut self,
        consumer: &GroupConsumer,
        partitions: impl Iterator<Item = &'a Arc<Partition>>,
    ) -> Result<(), String> {
        let commits: Vec<_> = partitions
            .filter(|partition| !partition.is_fenced() && (!self.first_only || partition.has_no_offset()))
            .filter_map(|partition| Some((partition.clone(), partition.commit()?)))
            .collect();
        if commits.is_empty() || planted::fault("never-commit") {
            return Ok(());
        }
        let offsets: Vec<_> = commits
            .iter()
            .map(|(partition, commit)| (partition.at.clone(), commit.offset, commit.metadata.clone()))
            .collect();
        planted::die("die-before-commit");
        consumer.commit(&offsets)?;
        planted::die("die-after-commit");
        self.on_its_way = Some(commits);
        Ok(())
    }

    /// The answer to the oldest commit on its way; `begun` is told each partition that has an offset with that.
    pub(super) fn ended(&mut self, result: Result<(), String>, begun: impl Fn(&TopicPartition)) -> Result<(), String> {
        if self.abandoned > 0 {
            self.abandoned -= 1;
            return Ok(());
        }
        let commits = self.on_its_way.take().unwrap_or_default();
        result.inspect(|()| {
            for (partition, commit) in &commits {
                partition.committed(commit);
                begun(&partition.at);
            }
        })
    }

    /// Waits no longer for the one on its way.
    pub(super) fn abandon(&mut self) {
        self.abandoned += usize::from(self.on_its_way.take().is_some());
    }
}
