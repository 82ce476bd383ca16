//! What a group is made from, and what it can be told while it runs.

use std::sync::{Arc, mpsc};

use crate::broker::{ClientSettings, Wake};
use crate::consume::FirstStart;
use crate::consume::partition::Bounds;
use crate::consume::status::GroupStatus;

/// What a group is made from.
#[derive(Clone, Debug)]
pub struct GroupSettings {
    /// How to reach the brokers.
    pub client: ClientSettings,
    /// The consumer group.
    pub group_id: String,
    /// For static membership.
    pub instance_id: Option<String>,
    /// Where a group begins that has never committed.
    pub first_start: FirstStart,
    /// Offsets are committed in transactions, by whoever ends the records; here only where there was none.
    pub transactional: bool,
    /// What it consumes at first.
    pub intent: Intent,
}

/// What a group consumes, which may change while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The topics that are known by name.
    pub topics: Vec<Arc<str>>,
    /// Whether others are wanted too, so that the broker must be asked which there are.
    pub has_patterns: bool,
    /// For all assigned partitions together; divided evenly.
    pub bounds: Bounds,
}

/// What a running group can be told.
pub(super) enum Command {
    /// Its routes have changed, and with them perhaps what it consumes.
    Follow(Intent),
    /// Partitions that were stopped for good are taken up again, from what the group has committed.
    Resume,
    /// It is to drain and leave.
    Stop,
}

/// A group that a [`Poller`](crate::consume::Poller) has: what can be told to it, and how it is.
pub struct GroupHandle {
    pub(super) status: Arc<GroupStatus>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) wake: Arc<Wake>,
}

impl GroupHandle {
    fn tell(&self, command: Command) {
        // A group that has been left wants to know nothing.
        let _ = self.commands.send(command);
        self.wake.wake();
    }

    /// Its routes have changed: from now on it consumes this. A topic that stays is not touched; one that comes or
    /// goes costs one cooperative rebalance, in which the partitions of the others go on.
    pub fn follow(&self, intent: Intent) {
        self.tell(Command::Follow(intent));
    }

    /// Takes partitions up again that were stopped for good: the operator says that what was wrong is mended.
    pub fn resume(&self) {
        self.tell(Command::Resume);
    }

    /// Drains it: nothing more is taken in, what is being worked on ends, offsets are committed, the group is left.
    pub fn stop(&self) {
        self.tell(Command::Stop);
    }

    /// How it is.
    pub fn status(&self) -> &Arc<GroupStatus> {
        &self.status
    }
}
