//! Lanes that have records and nobody who works on them, shared by all workers.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callgate_core::fair::TenantId;
use callgate_core::order::LaneId;

use super::bound::Routes;
use super::executor::Share;
use super::mailbox::Mailbox;
use super::unit::Settlement;
use crate::consume::Partition;

/// A lane to be emptied.
pub(super) struct Job {
    pub(super) share: Share,
    pub(super) partition: Arc<Partition>,
    pub(super) lane: LaneId,
    pub(super) routes: Arc<Routes>,
    pub(super) settlement: Arc<Settlement>,
}

/// The lanes that wait. One goes to a worker that sleeps; while none does, it waits in its tenant's line until some
/// worker finds that it is that tenant's turn.
pub(super) struct Jobs<J = Job> {
    lines: Mutex<Lines<J>>,
    // Both are looked at without the lock: how often lanes have come to wait, and how many workers sleep.
    arrivals: AtomicU64,
    asleep: AtomicUsize,
}

struct Lines<J> {
    waiting: HashMap<TenantId, (Share, VecDeque<J>)>,
    asleep: Vec<Arc<Mailbox<J>>>,
}

impl<J> Default for Jobs<J> {
    fn default() -> Self {
        let lines = Lines { waiting: HashMap::new(), asleep: Vec::new() };
        Self { lines: Mutex::new(lines), arrivals: AtomicU64::new(0), asleep: AtomicUsize::new(0) }
    }
}

impl<J> Jobs<J> {
    fn lines(&self) -> MutexGuard<'_, Lines<J>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, share: Share, job: J) {
        let mut lines = self.lines();
        if let Some(sleeper) = lines.asleep.pop() {
            self.asleep.store(lines.asleep.len(), Relaxed);
            drop(lines);
            return sleeper.hand(job);
        }
        let (latest, line) = lines.waiting.entry(share.tenant).or_insert_with(|| (share, VecDeque::new()));
        *latest = share;
        line.push_back(job);
        self.arrivals.fetch_add(1, Relaxed);
    }

    /// Takes the tenant's next lane, and says whether there is another one behind it.
    pub(super) fn take(&self, tenant: TenantId) -> Option<(J, bool)> {
        let mut lines = self.lines();
        let (_, line) = lines.waiting.get_mut(&tenant)?;
        let job = line.pop_front()?;
        let more = !line.is_empty();
        if !more {
            lines.waiting.remove(&tenant);
        }
        Some((job, more))
    }

    /// Names the tenants that have lanes waiting, if any have come since `seen`.
    pub(super) fn look(&self, seen: &mut u64, mut name: impl FnMut(Share)) {
        let arrivals = self.arrivals.load(Relaxed);
        if arrivals != *seen {
            *seen = arrivals;
            self.lines().waiting.values().for_each(|(share, _)| name(*share));
        }
    }

    /// A worker goes to sleep, unless lanes wait: from now on it may be handed one. Returns whether it may.
    pub(super) fn fall_asleep(&self, worker: &Arc<Mailbox<J>>) -> bool {
        let mut lines = self.lines();
        if !lines.waiting.is_empty() {
            return false;
        }
        if !lines.asleep.iter().any(|sleeper| Arc::ptr_eq(sleeper, worker)) {
            lines.asleep.push(worker.clone());
            self.asleep.store(lines.asleep.len(), Relaxed);
        }
        true
    }

    /// A worker is awake.
    pub(super) fn wake_up(&self, worker: &Arc<Mailbox<J>>) {
        let mut lines = self.lines();
        lines.asleep.retain(|sleeper| !Arc::ptr_eq(sleeper, worker));
        self.asleep.store(lines.asleep.len(), Relaxed);
    }

    /// Whether a worker has nothing to do, so that another one that has several lanes should pass one on.
    pub(super) fn is_wanted(&self) -> bool {
        self.asleep.load(Relaxed) > 0
    }
}

#[cfg(test)]
mod tests;
