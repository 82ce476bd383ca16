//! One membership in one consumer group, as a state machine that its polling thread steps.
//!
//! Rebalances are answered one after another, and never at once: partitions that come are taken up when their offsets
//! are known, partitions that go are given up when their work is done and committed, or fenced after some
//! seconds. Meanwhile the others go on.

mod handle;
mod rebalance;
mod subscription;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::Intake;
use super::active::{Active, stop_recreated};
use super::commits::Commits;
use super::first_start::FirstStarts;
use super::lag::{PartitionEnds, STANDS_STILL};
use super::partition::Bounds;
use super::status::GroupStatus;
use super::watch::{Change, TopicWatch};

use self::handle::Command;
pub use self::handle::{GroupHandle, GroupSettings, Intent};
use self::rebalance::{Pending, Rebalance, Then};
use crate::broker::{Closing, Ends, GroupConsumer, GroupEvent, TopicPartition, Wake};

/// How long a group feeds its partitions before the other groups of the thread have their turn.
const FEEDING: Duration = Duration::from_millis(1);
/// How long a thread may sleep with nothing to do: it must poll to stay in its group.
const IDLE: Duration = Duration::from_millis(100);

/// See the module.
pub struct Group {
    settings: GroupSettings,
    commands: mpsc::Receiver<Command>,
    consumer: Option<GroupConsumer>,
    closing: Option<(Closing, Instant)>,
    intake: Arc<dyn Intake>,
    wake: Arc<Wake>,
    status: Arc<GroupStatus>,
    watch: TopicWatch,
    ends: PartitionEnds,
    // What is to be subscribed to: later than it is wanted, where partitions must be done with before.
    wanted: Vec<Arc<str>>,
    subscribed: Vec<Arc<str>>,
    first_starts: Arc<FirstStarts>,
    active: BTreeMap<TopicPartition, Active>,
    // The partition at which the time for feeding was over.
    fed_last: Option<TopicPartition>,
    rebalance: Option<Rebalance>,
    // What came while a rebalance was being answered.
    pending: VecDeque<Pending>,
    epoch: u64,
    commits: Commits,
    stopping: bool,
}

impl Group {
    /// Makes the client and subscribes. The group is to be given to the poller whose bell this is.
    ///
    /// # Errors
    /// librdkafka's own sentence, where it refuses the settings.
    pub fn new(
        settings: GroupSettings,
        intake: Arc<dyn Intake>,
        wake: Arc<Wake>,
    ) -> Result<(Self, GroupHandle), String> {
        let consumer =
            GroupConsumer::new(&settings.client, &settings.group_id, settings.instance_id.as_deref(), wake.clone())?;
        intake.joining(consumer.questions());
        let Intent { topics, has_patterns, .. } = &settings.intent;
        if !topics.is_empty() {
            consumer.subscribe(topics)?;
        }
        let watch = TopicWatch::start(consumer.questions(), *has_patterns, intake.clone(), wake.clone());
        let (tell, commands) = mpsc::channel();
        let status = Arc::new(GroupStatus::new(settings.group_id.clone()));
        let handle = GroupHandle { status: status.clone(), commands: tell, wake: wake.clone() };
        let group = Self {
            watch,
            ends: PartitionEnds::default(),
            commands,
            wanted: topics.clone(),
            subscribed: topics.clone(),
            status,
            first_starts: FirstStarts::new(settings.first_start),
            commits: Commits::new(settings.transactional),
            settings,
            consumer: Some(consumer),
            closing: None,
            intake,
            wake,
            active: BTreeMap::new(),
            fed_last: None,
            rebalance: None,
            pending: VecDeque::new(),
            epoch: 0,
            stopping: false,
        };
        Ok((group, handle))
    }

    /// Begins to drain: nothing more is taken in, what is being worked on ends, offsets are committed, the group is left.
    pub(super) fn stop(&mut self) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        self.pending.clear();
        self.rebalance = None;
        self.begin_going(self.active.keys().cloned().collect(), Then::GiveUp);
    }

    /// Whether the group has been left.
    pub(super) fn is_stopped(&self) -> bool {
        self.consumer.is_none() && self.closing.is_none()
    }

    /// Does what there is to do, without waiting. Returns how long nothing will need doing unless the bell rings.
    pub(super) fn step(&mut self) -> Duration {
        self.status.pulse.beat(Instant::now());
        self.obey();
        let Some(consumer) = &self.consumer else { return self.wait_for_close() };
        for event in consumer.poll() {
            self.handle(event);
        }
        self.follow_changes();
        self.reopen_abandoned();
        self.go_on_rebalancing();
        let more = !self.stopping && self.feed();
        self.commit_if_due();
        if more { Duration::ZERO } else { IDLE }
    }

    fn obey(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Follow(intent) if !self.stopping => self.follow(intent),
                Command::Resume => {
                    let stopped = self.active.values().filter(|active| active.partition.is_stopped_for_good());
                    stopped.for_each(|active| active.partition.abandon());
                }
                Command::Stop => self.stop(),
                Command::Follow(_) => {}
            }
        }
    }

    fn wait_for_close(&mut self) -> Duration {
        if let Some((closing, until)) = &self.closing {
            let closed = closing.is_done();
            if !closed && Instant::now() < *until {
                return IDLE;
            }
            if !closed {
                tracing::warn!(
                    target: "callgate::consume", code = "run.left-without-answer", group = %self.settings.group_id,
                    "left without an answer of the broker; its partitions move when the session times out"
                );
            }
            self.closing = None;
            self.status.pulse.rest();
            self.status.update(|status| status.left = true);
        }
        IDLE
    }

    /// Divides what may be in memory among so many partitions.
    fn divide_bounds(&self, partitions: usize) -> Bounds {
        self.intake.assigned(partitions);
        let bounds = divided(self.settings.intent.bounds, partitions);
        self.active.values().for_each(|active| active.partition.rebound(bounds));
        bounds
    }

    fn handle(&mut self, event: GroupEvent) {
        match event {
            GroupEvent::Record(record) => {
                let at =
                    TopicPartition { topic: record.coordinate.topic.clone(), partition: record.coordinate.partition };
                if let Some(active) = self.active.get_mut(&at) {
                    active.straggler(record, &*self.intake);
                }
            }
            GroupEvent::Committed(result) => {
                let ended = self.commits.ended(result, |at| self.first_starts.begun(at));
                self.tell_failed(ended);
            }
            GroupEvent::TopicUnavailable(reason) => {
                tracing::warn!(
                    target: "callgate::consume", code = "run.topic-unavailable", group = %self.settings.group_id, reason,
                    "a topic cannot be consumed yet: create it, or let the host's user see it. Until then the group goes on \
                     without it"
                );
                self.status.update(|status| status.unavailable = Some(reason));
            }
            GroupEvent::Error(error) => {
                tracing::warn!(target: "callgate::consume", code = "run.client-error", group = %self.settings.group_id, error, "the group's client reports an error");
            }
            GroupEvent::Fatal(error) => {
                tracing::error!(
                    target: "callgate::consume", code = "run.client-failed", group = %self.settings.group_id, error,
                    "the group's client failed for good; nothing more is consumed or committed here. \
                     Is another host running with the same instance_id? Restart this one"
                );
                self.fence_all();
                self.status.update(|status| status.failed = Some(error));
            }
            GroupEvent::Revoked { ref partitions, lost: true } => {
                self.fence_lost(partitions);
                self.pending.push_back(Pending::Event(event));
            }
            event @ (GroupEvent::Assigned(_) | GroupEvent::Revoked { .. }) => {
                self.pending.push_back(Pending::Event(event));
            }
        }
    }

    /// What has changed at the broker without a rebalance.
    fn follow_changes(&mut self) {
        while let Some(change) = self.watch.poll().filter(|_| !self.stopping) {
            match change {
                Change::Topics(topics) => self.subscribe_to(topics),
                Change::Ids(ids) => self.stop_recreated(&ids),
                Change::Ends(ends) => self.learn_ends(ends),
            }
        }
    }

    /// Stops the partitions of topics that were deleted and made again: nothing more is committed for them.
    fn stop_recreated(&mut self, ids: &BTreeMap<Arc<str>, [u8; 16]>) {
        for Active { partition, .. } in self.active.values() {
            let is_another = ids.get(&partition.at.topic).is_some_and(|id| partition.is_of_another_topic(*id));
            if is_another && !partition.is_fenced() {
                stop_recreated(&self.settings.group_id, partition);
                partition.fence();
            }
        }
    }

    /// Says which partitions are held by a transaction that was left open.
    fn learn_ends(&mut self, ends: BTreeMap<TopicPartition, Ends>) {
        self.ends.retain(|at| self.active.contains_key(at));
        for (at, Ends { high_watermark, last_stable }) in self.ends.learn(Instant::now(), ends) {
            tracing::warn!(
                target: "callgate::consume", code = "run.transaction-left-open", group = %self.settings.group_id,
                partition = %at, last_stable_offset = last_stable, high_watermark,
                "a producer has had a transaction open in a partition for more than {STANDS_STILL:?}: the records above the last \
                 stable offset wait until it ends. Find it with kafka-transactions.sh find-hanging or describe-producers"
            );
        }
    }

    fn fence_lost(&self, partitions: &[TopicPartition]) {
        let given_up = |at| self.active.get(at).is_some_and(|active| active.partition.is_fenced());
        if !partitions.iter().all(given_up) {
            tracing::warn!(
                target: "callgate::consume", code = "run.partitions-lost", group = %self.settings.group_id, partitions = partitions.len(),
                "partitions were lost: this host was thought dead, or their topic is gone; its work on them counts for nothing"
            );
        }
        partitions.iter().filter_map(|at| self.active.get(at)).for_each(|active| active.partition.fence());
    }

    fn fence_all(&mut self) {
        for active in self.active.values() {
            active.partition.fence();
        }
        self.active.clear();
        self.status.update(|status| status.joined = false);
    }

    /// Takes from each partition what it has room for. Returns whether there may be more right now.
    fn feed(&mut self) -> bool {
        let (until, last, mut more) = (Instant::now() + FEEDING, self.fed_last.take(), false);
        // First those behind the one at which it ended the last time.
        for behind in [true, false] {
            for (at, active) in self.active.iter_mut().filter(|(at, _)| (last.as_ref() < Some(at)) == behind) {
                // A transaction must not be overtaken by this commit: it would set the offset back.
                if self.settings.transactional && active.partition.has_no_offset() {
                    continue;
                }
                more |= active.feed(&*self.intake, &self.settings.group_id, until);
                if Instant::now() >= until {
                    self.fed_last = Some(at.clone());
                    return true;
                }
            }
        }
        more
    }

    fn commit_if_due(&mut self) {
        if !self.commits.is_due(Instant::now()) {
            return;
        }
        let stopped: Vec<_> = self
            .active
            .values()
            .filter_map(|active| Some((active.partition.at.to_string(), active.partition.stopped()?)))
            .collect();
        let held = self.active.values().map(|active| active.partition.held()).sum();
        let lag = self.ends.lag(self.active.iter().map(|(at, active)| (at, active.front())));
        self.status.update(|status| {
            status.stopped = stopped;
            status.held = held;
            status.lag = lag;
        });
        if self.commits.is_on_its_way() || self.stopping {
            return;
        }
        if let Some(consumer) = &self.consumer {
            let begun = self.commits.begin(consumer, self.active.values().map(|active| &active.partition));
            self.tell_failed(begun);
        }
    }

    fn tell_failed(&self, commit: Result<(), String>) {
        let Err(error) = commit else { return };
        self.status.update(|status| status.failed_commits += 1);
        tracing::warn!(
            target: "callgate::consume", code = "run.commit-failed", group = %self.settings.group_id, error,
            "a commit of offsets failed; what it would have said is said again by the next one"
        );
    }
}

fn divided(bounds: Bounds, partitions: usize) -> Bounds {
    let partitions = partitions.max(1);
    Bounds { records: (bounds.records / partitions).max(1), bytes: (bounds.bytes / partitions).max(1) }
}
