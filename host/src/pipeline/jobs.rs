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

/// What waits.
pub(super) trait Waiting {
    /// Whose it is.
    fn share(&self) -> Share;

    /// Its line: whatever is bounded together waits in one.
    fn line(&self) -> LineId;

    /// Whether a call of it would find room in its bounds now.
    fn has_room(&self) -> bool;
}

/// A group, by the address of its routes, and a topic.
pub(super) type LineId = (usize, Arc<str>);

impl Waiting for Job {
    fn share(&self) -> Share {
        self.share
    }

    fn line(&self) -> LineId {
        (Arc::as_ptr(&self.routes) as usize, self.partition.at.topic.clone())
    }

    fn has_room(&self) -> bool {
        // Without a route there is no call that could be too much.
        self.routes.get(&self.partition.at.topic).is_none_or(|bound| bound.has_room())
    }
}

/// The lanes that wait. One goes to a worker that sleeps; while none does, it waits in line until some worker finds that
/// it is its tenant's turn. While many calls wait for the route's or the tenant's others, no more lanes of it are taken.
pub(super) struct Jobs<J = Job> {
    lines: Mutex<Lines<J>>,
    // All three are looked at without the lock: how many lanes wait, how often there was something new to look at, and
    // how many workers sleep.
    waiting: AtomicUsize,
    news: AtomicU64,
    asleep: AtomicUsize,
}

struct Lines<J> {
    tenants: HashMap<TenantId, Tenant<J>>,
    asleep: Vec<Arc<Mailbox<J>>>,
}

struct Tenant<J> {
    share: Share,
    // In the order in which they are to be looked at. None is empty.
    lines: VecDeque<(LineId, VecDeque<J>)>,
}

impl<J> Default for Jobs<J> {
    fn default() -> Self {
        let lines = Lines { tenants: HashMap::new(), asleep: Vec::new() };
        Self {
            lines: Mutex::new(lines),
            waiting: AtomicUsize::new(0),
            news: AtomicU64::new(0),
            asleep: AtomicUsize::new(0),
        }
    }
}

impl<J: Waiting> Jobs<J> {
    fn lines(&self) -> MutexGuard<'_, Lines<J>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, job: J) {
        let mut lines = self.lines();
        if job.has_room()
            && let Some(sleeper) = lines.asleep.pop()
        {
            self.asleep.store(lines.asleep.len(), Relaxed);
            drop(lines);
            return sleeper.hand(job);
        }
        let share = job.share();
        let tenant = lines.tenants.entry(share.tenant).or_insert_with(|| Tenant { share, lines: VecDeque::new() });
        tenant.push(job);
        self.waiting.fetch_add(1, Relaxed);
        self.news.fetch_add(1, Relaxed);
    }

    /// Takes the tenant's next lane that has room, and says whether there is another one.
    pub(super) fn take(&self, id: TenantId) -> Option<(J, bool)> {
        let mut lines = self.lines();
        let tenant = lines.tenants.get_mut(&id)?;
        let job = tenant.take()?;
        let more = tenant.has_room();
        if tenant.lines.is_empty() {
            lines.tenants.remove(&id);
        }
        self.waiting.fetch_sub(1, Relaxed);
        Some((job, more))
    }

    /// Names the tenants that have lanes waiting for which there is room, if there was any news since `seen`.
    pub(super) fn look(&self, seen: &mut Option<u64>, mut name: impl FnMut(Share)) {
        let news = self.news.load(Relaxed);
        if *seen != Some(news) {
            *seen = Some(news);
            let lines = self.lines();
            lines.tenants.values().filter(|tenant| tenant.has_room()).for_each(|tenant| name(tenant.share));
        }
    }

    /// Whether any lane waits.
    pub(super) fn any_waits(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }

    /// A call has ended: there may be room for one of the lanes that wait.
    pub(super) fn made_room(&self) {
        if !self.any_waits() {
            return;
        }
        self.news.fetch_add(1, Relaxed);
        if !self.is_wanted() {
            return;
        }
        let mut lines = self.lines();
        let Some(id) = lines.tenants.iter().find(|(_, tenant)| tenant.has_room()).map(|(id, _)| *id) else { return };
        let Some(sleeper) = lines.asleep.pop() else { return };
        self.asleep.store(lines.asleep.len(), Relaxed);
        drop(lines);
        match self.take(id) {
            Some((job, _)) => sleeper.hand(job),
            // Somebody was quicker; the sleeper looks for itself.
            None => sleeper.nudge(),
        }
    }

    /// A worker goes to sleep, unless lanes wait for which there is room: from now on it may be handed one. Returns
    /// whether it may.
    pub(super) fn fall_asleep(&self, worker: &Arc<Mailbox<J>>) -> bool {
        let mut lines = self.lines();
        if lines.tenants.values().any(Tenant::has_room) {
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

impl<J: Waiting> Tenant<J> {
    fn push(&mut self, job: J) {
        let id = job.line();
        self.share = job.share();
        match self.lines.iter_mut().find(|(known, _)| *known == id) {
            Some((_, line)) => line.push_back(job),
            None => self.lines.push_back((id, VecDeque::from([job]))),
        }
    }

    /// From the first line with room, which is looked at last from now on.
    fn take(&mut self) -> Option<J> {
        let index = self.lines.iter().position(|(_, line)| has_room(line))?;
        let (id, mut line) = self.lines.remove(index)?;
        let job = line.pop_front();
        if !line.is_empty() {
            self.lines.push_back((id, line));
        }
        job
    }

    fn has_room(&self) -> bool {
        self.lines.iter().any(|(_, line)| has_room(line))
    }
}

fn has_room<J: Waiting>(line: &VecDeque<J>) -> bool {
    line.front().is_some_and(Waiting::has_room)
}

#[cfg(test)]
mod tests;
