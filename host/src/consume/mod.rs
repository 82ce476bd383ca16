//! From the broker to the lanes: membership in a group, the place of each assigned partition, what is taken in and
//! when, and which offsets are committed.
//!
//! Plain threads do this, and no guest ever runs on them: whatever handlers do, polling goes on. A [`Poller`] polls
//! some [`Group`]s; a group feeds its [`Partition`]s; a partition gives its lanes to the [`Intake`], behind which the
//! workers are.

mod active;
mod commits;
mod first_start;
mod group;
mod lag;
mod opening;
mod partition;
mod poller;
mod status;
mod watch;

pub use first_start::FirstStart;
pub use group::{Group, GroupHandle, GroupSettings, Intent};
pub use lag::Lag;
pub use partition::{Bounds, Held, Hold, Partition, Place};
pub use poller::{Poller, Pollers};
pub use status::{GroupSnapshot, GroupStatus};

use std::sync::Arc;

use callgate_core::order::{LaneId, Ordering};

use crate::broker::{GroupQuestions, TopicPartition};

/// Where records go from here: the pipeline that routes them and has workers.
pub trait Intake: Send + Sync {
    /// The group's client has been made: what may be asked of it, for whoever commits beside it.
    fn joining(&self, group: GroupQuestions);

    /// What must be sequential among the topic's records.
    fn ordering(&self, topic: &str) -> Ordering;

    /// Whether the topic's records are wanted: what patterns are for.
    fn routes(&self, topic: &str) -> bool;

    /// So many partitions are assigned now.
    fn assigned(&self, partitions: usize);

    /// A partition has been taken up. May wait for the broker: called on a thread of its own, before the first record.
    fn opened(&self, at: &TopicPartition, partitions: i32);

    /// A lane has a record and nobody works on it: somebody is to take its records with [`Partition::next`] until
    /// there are none.
    fn start(&self, partition: Arc<Partition>, lane: LaneId);
}
