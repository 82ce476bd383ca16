//! How a group answers rebalances: one after another, each over many steps.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::active::{Active, stop_recreated};
use super::super::opening::{Opened, Opening};
use super::super::partition::{Beginning, Partition};
use super::Group;
use crate::broker::{Assigned, GroupEvent, TopicPartition};
use crate::planted;

/// How long work on a revoked partition may go on before it is fenced; a hand-over is to take at most 5 s.
const DRAIN: Duration = Duration::from_millis(4500);
/// How long the commit of a revoked partition may take.
const LAST_COMMIT: Duration = Duration::from_secs(2);

/// What waits for its turn.
pub(super) enum Pending {
    /// A rebalance.
    Event(GroupEvent),
    /// Partitions to be done with; the group hears nothing of it.
    Leave(Vec<TopicPartition>, Then),
}

/// What becomes of partitions that are done with: their work has ended and is committed, or fenced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// They are given up.
    GiveUp,
    /// They are taken up again by this same member.
    Reopen,
    /// The client subscribes to what is wanted now, and takes them by a rebalance. If they are wanted again before that,
    /// they are taken up anew.
    Subscribe,
}

/// The one that is being answered.
pub(super) enum Rebalance {
    /// Partitions come: their offsets are being asked for.
    Coming(Opening),
    /// Partitions go: their work ends, and then its commit.
    Going { partitions: Vec<TopicPartition>, until: Instant, committing: bool, then: Then },
}

impl Group {
    pub(super) fn go_on_rebalancing(&mut self) {
        loop {
            match &self.rebalance {
                Some(Rebalance::Coming(opening)) => {
                    // What was lost before it was taken up need not be asked about any longer.
                    let is_lost =
                        |pending: &Pending| matches!(pending, Pending::Event(GroupEvent::Revoked { lost: true, .. }));
                    let lost = self.pending.iter().any(is_lost);
                    match opening.poll() {
                        Some(opened) => self.take_up(opened),
                        None if lost => self.take_up(Vec::new()),
                        None => return,
                    }
                }
                Some(Rebalance::Going { .. }) => {
                    if !self.go() {
                        return;
                    }
                }
                None => match self.pending.pop_front() {
                    Some(Pending::Event(GroupEvent::Assigned(partitions))) => {
                        self.status.update(|status| {
                            status.rebalances += 1;
                            status.unavailable = None;
                        });
                        self.begin_coming(partitions);
                    }
                    Some(Pending::Event(GroupEvent::Revoked { partitions, .. })) => {
                        self.status.update(|status| status.rebalances += 1);
                        self.begin_going(partitions, Then::GiveUp);
                    }
                    Some(Pending::Leave(mut partitions, then)) => {
                        partitions.retain(|at| self.active.contains_key(at));
                        self.begin_going(partitions, then);
                    }
                    Some(Pending::Event(_)) => {}
                    None => return,
                },
            }
        }
    }

    fn begin_coming(&mut self, partitions: Vec<TopicPartition>) {
        let Some(consumer) = &self.consumer else { return };
        tracing::info!(
            target: "callgate::consume", group = %self.settings.group_id, partitions = %names(&partitions),
            "partitions assigned"
        );
        self.status.update(|status| status.opening = partitions.len());
        self.rebalance = Some(Rebalance::Coming(Opening::begin(
            consumer,
            partitions,
            self.subscribed.clone(),
            self.first_starts.clone(),
            self.intake.clone(),
            self.wake.clone(),
        )));
    }

    fn take_up(&mut self, opened: Vec<Opened>) {
        self.rebalance = None;
        let Some(consumer) = &self.consumer else { return };
        let assigned: Vec<Assigned> =
            opened.iter().map(|opened| Assigned { at: opened.at.clone(), position: opened.position }).collect();
        let feeds = match consumer.assign(&assigned) {
            Ok(feeds) => feeds,
            Err(error) => {
                tracing::warn!(target: "callgate::consume", code = "run.rebalance-failed", group = %self.settings.group_id, error, "cannot take up partitions");
                return;
            }
        };
        self.epoch += 1;
        let bounds = self.divide_bounds(self.active.len() + opened.len());
        for (opened, feed) in opened.into_iter().zip(feeds) {
            let ordering = self.intake.ordering(&opened.at.topic);
            let partition = Arc::new(Partition::new(
                opened.at.clone(),
                ordering,
                self.epoch,
                Beginning {
                    topic_id: opened.topic_id,
                    position: opened.position,
                    metadata: opened.metadata,
                    slot: self.free_slot(),
                },
                bounds,
                self.wake.clone(),
            ));
            if opened.recreated {
                stop_recreated(&self.settings.group_id, &partition);
            }
            if opened.first {
                partition.commit_anyway();
                self.commits.hurry();
            }
            self.active.insert(opened.at, Active::new(partition, feed));
        }
        self.watch_consumed();
        let assigned = self.active.len();
        self.status.update(|status| {
            status.joined = true;
            status.opening = 0;
            status.assigned = assigned;
        });
    }

    /// The lowest number that no partition has.
    fn free_slot(&self) -> usize {
        let taken: BTreeSet<usize> = self.active.values().map(|active| active.partition.slot()).collect();
        (0..).zip(&taken).find(|(free, taken)| free != *taken).map_or(taken.len(), |(free, _)| free)
    }

    fn watch_consumed(&self) {
        self.watch.consume(self.active.keys().cloned().collect());
    }

    /// Begins to be done with partitions.
    pub(super) fn begin_going(&mut self, partitions: Vec<TopicPartition>, then: Then) {
        if !self.stopping {
            let what = match then {
                Then::GiveUp => "partitions revoked",
                Then::Reopen => "partitions are taken up anew",
                Then::Subscribe => "partitions are not wanted any more",
            };
            tracing::info!(
                target: "callgate::consume", group = %self.settings.group_id, partitions = %names(&partitions), "{what}"
            );
        }
        for at in &partitions {
            if let Some(active) = self.active.get_mut(at) {
                active.leaving = true;
                active.partition.drain();
            }
        }
        self.rebalance = Some(Rebalance::Going { partitions, until: Instant::now() + DRAIN, committing: false, then });
    }

    /// Goes on being done with partitions. Returns whether it is.
    fn go(&mut self) -> bool {
        let Some(Rebalance::Going { partitions, until, committing, .. }) = &mut self.rebalance else { return true };
        let now = Instant::now();
        let going: Vec<Arc<Partition>> =
            partitions.iter().filter_map(|at| Some(self.active.get(at)?.partition.clone())).collect();
        if !*committing {
            let working = going.iter().any(|partition| !partition.is_fenced() && partition.started() > 0);
            if working && now < *until && !planted::fault("commit-after-revoke") {
                return false;
            }
            // The commit on its way was for other moments of the same partitions.
            if self.commits.is_on_its_way() && now < *until + LAST_COMMIT {
                return false;
            }
            *committing = true;
            *until = now + LAST_COMMIT;
            self.commits.abandon();
            if let Some(consumer) = &self.consumer {
                let begun = self.commits.begin(consumer, going.iter());
                self.tell_failed(begun);
            }
            // Whatever ends after this snapshot was not committed, and comes again elsewhere.
            if !planted::fault("no-fence") {
                going.iter().for_each(|partition| partition.fence());
            }
        }
        let waiting = matches!(self.rebalance, Some(Rebalance::Going { until, .. }) if now < until);
        // A transaction that holds what the partitions' records ended with is committed by now, or is being aborted.
        let held = going.iter().any(|partition| partition.is_held()) && !planted::fault("commit-after-revoke");
        if (self.commits.is_on_its_way() || held) && waiting {
            return false;
        }
        self.done();
        true
    }

    fn done(&mut self) {
        let Some(Rebalance::Going { partitions, then, .. }) = self.rebalance.take() else { return };
        self.commits.abandon();
        if then != Then::Subscribe {
            return self.give_up(partitions, then);
        }
        for at in &partitions {
            if let Some(active) = self.active.get_mut(at) {
                active.leaving = false;
                // Fenced it is of no use any more; where its topic is wanted again by now, it is taken up anew.
                active.partition.abandon();
            }
        }
        self.subscribe();
    }

    fn give_up(&mut self, partitions: Vec<TopicPartition>, then: Then) {
        for at in partitions.iter().filter(|_| !planted::fault("no-fence")) {
            self.active.remove(at);
        }
        self.divide_bounds(self.active.len());
        if self.stopping {
            if let Some(consumer) = self.consumer.take() {
                self.closing = Some((consumer.close(), Instant::now() + LAST_COMMIT));
            }
        } else if let Some(Err(error)) = self.consumer.as_ref().map(|consumer| consumer.unassign(&partitions)) {
            tracing::warn!(target: "callgate::consume", code = "run.rebalance-failed", group = %self.settings.group_id, error, "cannot give up partitions");
        } else if then == Then::Reopen {
            self.begin_coming(partitions);
        }
        self.watch_consumed();
        let assigned = self.active.len();
        self.status.update(|status| status.assigned = assigned);
    }
}

fn names(partitions: &[TopicPartition]) -> String {
    partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
