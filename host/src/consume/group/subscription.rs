//! Which topics a group consumes: what its routes name, and what their patterns have found.

use std::sync::Arc;

use super::super::active::Active;
use super::rebalance::{Pending, Then};
use super::{Group, Intent};

impl Group {
    pub(super) fn follow(&mut self, intent: Intent) {
        self.settings.intent = intent;
        self.watch.look_again(self.settings.intent.has_patterns);
        // Those that a pattern has found stay as long as it wants them; new ones come with the next look.
        let found = self.wanted.iter().filter(|topic| self.intake.routes(topic)).cloned().collect();
        self.subscribe_to(found);
        for (at, Active { partition, .. }) in &self.active {
            if partition.ordering() != self.intake.ordering(&at.topic) {
                partition.abandon();
            }
        }
        self.divide_bounds(self.active.len());
    }

    /// Wants these topics from now on, which patterns have found, and those that are known by name. As soon as the client
    /// knows of it, it may take the partitions of all others for lost: so what is worked on there ends and is committed
    /// before.
    pub(super) fn subscribe_to(&mut self, mut topics: Vec<Arc<str>>) {
        topics.extend(self.settings.intent.topics.iter().cloned());
        topics.sort();
        topics.dedup();
        self.wanted = topics;
        let mut unwanted = Vec::new();
        for (at, active) in self.active.iter_mut().filter(|(at, _)| !self.wanted.contains(&at.topic)) {
            active.leaving = true;
            active.partition.abandon();
            unwanted.push(at.clone());
        }
        if unwanted.is_empty() {
            self.subscribe();
        } else {
            self.pending.push_back(Pending::Leave(unwanted, Then::Subscribe));
        }
    }

    /// Has the client subscribe to what is wanted by now.
    pub(super) fn subscribe(&mut self) {
        let Some(consumer) = &self.consumer else { return };
        if self.wanted == self.subscribed && !self.wanted.is_empty() {
            return;
        }
        tracing::info!(
            target: "callgate::consume", group = %self.settings.group_id, topics = self.wanted.join(", "), "subscribed"
        );
        match consumer.subscribe(&self.wanted) {
            // A group without any topic has nothing to join for.
            Ok(()) => {
                if self.wanted.is_empty() {
                    self.status.update(|status| status.joined = true);
                }
                self.subscribed.clone_from(&self.wanted);
            }
            Err(error) => {
                tracing::warn!(
                    target: "callgate::consume", code = "run.rebalance-failed", group = %self.settings.group_id, error,
                    "cannot subscribe"
                );
            }
        }
    }

    /// Takes partitions up anew whose records were put down: their handler went and came back before the rebalance
    /// that would have taken them, or their order is another one now.
    pub(super) fn reopen_abandoned(&mut self) {
        if self.stopping {
            return;
        }
        let abandoned = self.active.iter_mut().filter(|(at, active)| {
            !active.leaving && active.partition.is_abandoned() && self.wanted.contains(&at.topic)
        });
        let partitions: Vec<_> = abandoned
            .map(|(at, active)| {
                active.leaving = true;
                at.clone()
            })
            .collect();
        if !partitions.is_empty() {
            self.pending.push_back(Pending::Leave(partitions, Then::Reopen));
        }
    }
}
