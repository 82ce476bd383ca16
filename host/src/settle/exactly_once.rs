//! Exactly-once: reply, dead letter, offset and the set of what has ended above it, in one Kafka transaction. Who reads
//! only what is committed sees each record's effect once.
//!
//! An outcome is handed over when it is decided, and stays in memory until the transaction that holds it is committed:
//! an aborted one is written again without a second call. A transaction is open only while outcomes that are there are
//! written. A partition's outcomes go through one of two [`Writer`]s, never alternating, since a higher offset must not be
//! committed before a lower one is aborted; while one waits for the broker, the other's fill up.
//!
//! What keeps a host from committing for a partition that has gone: it is not given up while a transaction holds its
//! outcomes ([`Unit::hold`](super::Unit::hold)); the offsets go with the group's generation of a moment when it was still
//! ours; and whoever takes it over waits until no transaction is open on its offset.

mod backlog;
mod outcome;
mod parcel;
mod queue;
#[cfg(test)]
mod tests;
mod transaction;
mod writer;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use callgate_core::failure::Failure;
use callgate_core::record::OutgoingRecord;

use self::outcome::{Ending, Outcome};
use self::parcel::Parcel;
use self::queue::Queue;
use self::writer::Writer;
use super::{Answer, Unit};
use crate::broker::{ClientSettings, Directory, GroupQuestions, Producer};

/// Producers of a group: one waits for the broker while the other one's transaction fills up.
const WRITERS: usize = 2;

/// What the groups of a tenant share.
pub struct Common {
    settings: ClientSettings,
    directory: Arc<Directory>,
    /// What distinguishes this host's producers from those of its replicas.
    instance: String,
    /// Whether that stays the same over restarts.
    is_stable: bool,
    open: AtomicUsize,
}

impl Common {
    /// `instance` is this host's stable name among its replicas, if it has one.
    ///
    /// # Errors
    /// librdkafka's own sentence, where it refuses the settings.
    pub(super) fn new(settings: &ClientSettings, instance: Option<&str>) -> Result<Arc<Self>, String> {
        // Nothing is sent by this one: it asks about topics.
        let asking: Arc<Producer<Parcel>> = Arc::new(Producer::new(settings)?);
        Ok(Arc::new(Self {
            settings: settings.clone(),
            directory: Directory::new(settings, asking),
            instance: instance.map_or_else(|| format!("{:016x}", fastrand::u64(..)), str::to_owned),
            is_stable: instance.is_some(),
            open: AtomicUsize::new(0),
        }))
    }

    /// Waits until no transaction is open, at most for `timeout`. Returns whether none is.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while self.open.load(Ordering::Acquire) > 0 {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

/// See the module. One for each group.
pub struct ExactlyOnce<U: Unit> {
    common: Arc<Common>,
    group: Arc<OnceLock<GroupQuestions>>,
    queues: [Arc<Queue<U>>; WRITERS],
}

impl<U: Unit> ExactlyOnce<U> {
    pub(super) fn new(common: &Arc<Common>, group_id: &str) -> Self {
        let group = Arc::new(OnceLock::new());
        let queues = std::array::from_fn(|number| {
            let queue = Arc::new(Queue::default());
            let id = format!("{group_id}.{}.{number}", common.instance);
            Writer::start(id, common.clone(), group.clone(), queue.clone());
            queue
        });
        Self { common: common.clone(), group, queues }
    }

    /// Whose offsets are committed.
    pub(super) fn bind(&self, group: GroupQuestions) {
        // A group has one client as long as it runs.
        let _ = self.group.set(group);
    }

    pub(super) fn directory(&self) -> &Arc<Directory> {
        &self.common.directory
    }

    pub(super) async fn done(&self, unit: U) {
        self.hand_over(unit, Ending::Done).await;
    }

    pub(super) async fn reply(&self, unit: U, record: OutgoingRecord) {
        self.hand_over(unit, Ending::Reply(Arc::new(record))).await;
    }

    /// Returns before the dead letter is written, too: where it cannot be, nothing of its partition overtakes it.
    pub(super) async fn dead_letter(&self, unit: U, failure: Failure, answer: Answer) {
        // So that only this lane waits for what the broker says of the topic. The writer sees to what it says.
        let _ = self.common.directory.look_up(&unit.dead_letter_topic()).await;
        self.hand_over(unit, Ending::dead_letter(failure, answer)).await;
    }

    async fn hand_over(&self, unit: U, ending: Ending) {
        self.queues[unit.slot() % WRITERS].push(Outcome::new(unit, ending)).await;
    }
}

impl<U: Unit> Drop for ExactlyOnce<U> {
    fn drop(&mut self) {
        self.queues.iter().for_each(|queue| queue.close());
    }
}
