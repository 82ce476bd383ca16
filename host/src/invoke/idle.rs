//! Instances that have served and wait to serve again.
//!
//! An instance serves one version of a handler, at one place of its chain, on one worker, and nobody else. It waits for
//! so long at most, and all of them together have so many bytes at most; those that have waited the longest go first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::Callable;
use super::instance::Instance;

/// How long an instance waits for its next call.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// How often those are looked for that have waited for too long, or whose version has gone.
const LOOK: Duration = Duration::from_secs(1);

/// The waiting instances of one worker. The lock is there since invokers are made on one thread and used on another.
pub(super) struct Idle {
    waiting: Arc<Mutex<Waiting>>,
    max_bytes: usize,
}

#[derive(Default)]
struct Waiting {
    /// The longest wait first.
    instances: VecDeque<Kept>,
    bytes: usize,
    swept: bool,
}

struct Kept {
    callable: Weak<Callable>,
    position: usize,
    used: Used,
    bytes: usize,
    since: Instant,
}

/// An instance, and the calls that it has served.
pub(super) struct Used {
    pub(super) instance: Instance,
    pub(super) calls: u32,
}

impl Idle {
    /// For instances that have so many bytes of memory together.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { waiting: Arc::default(), max_bytes }
    }

    /// The instance at this place of the chain that has waited least: its memory is the warmest.
    pub(super) fn take(&self, callable: &Arc<Callable>, position: usize) -> Option<Used> {
        let mut waiting = lock(&self.waiting);
        let serves = |kept: &Kept| kept.position == position && kept.callable.as_ptr() == Arc::as_ptr(callable);
        let index = waiting.instances.iter().rposition(serves)?;
        waiting.remove(index).map(|kept| kept.used)
    }

    /// Keeps an instance, unless it alone has more than all may have. To be called on the worker's runtime.
    pub(super) fn keep(&self, callable: &Arc<Callable>, position: usize, mut used: Used) {
        let guest = used.instance.store.data_mut();
        guest.leave();
        let bytes = guest.memory().used();
        if bytes > self.max_bytes {
            return;
        }
        let mut waiting = lock(&self.waiting);
        while waiting.bytes + bytes > self.max_bytes {
            waiting.remove(0);
        }
        let callable = Arc::downgrade(callable);
        waiting.bytes += bytes;
        waiting.instances.push_back(Kept { callable, position, used, bytes, since: Instant::now() });
        if !waiting.swept {
            waiting.swept = true;
            tokio::task::spawn_local(sweep(Arc::downgrade(&self.waiting)));
        }
    }

    /// Lets go the instance that has waited longest. Whether there was one.
    pub(super) fn let_go(&self) -> bool {
        lock(&self.waiting).remove(0).is_some()
    }

    /// Lets go all of them.
    pub(super) fn clear(&self) {
        while self.let_go() {}
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.waiting).instances.len()
    }

    pub(super) fn bytes(&self) -> usize {
        lock(&self.waiting).bytes
    }
}

impl Waiting {
    fn remove(&mut self, index: usize) -> Option<Kept> {
        let kept = self.instances.remove(index)?;
        self.bytes -= kept.bytes;
        Some(kept)
    }

    /// Lets go those that have waited for too long, and those whose version nobody calls any more.
    fn sweep(&mut self, now: Instant) {
        let stays = |kept: &Kept| now.duration_since(kept.since) < MAX_WAIT && kept.callable.strong_count() > 0;
        self.instances.retain(stays);
        self.bytes = self.instances.iter().map(|kept| kept.bytes).sum();
    }
}

/// Sweeps as long as anything waits.
async fn sweep(waiting: Weak<Mutex<Waiting>>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(waiting) = waiting.upgrade() else { return };
        let mut waiting = lock(&waiting);
        waiting.sweep(Instant::now());
        if waiting.instances.is_empty() {
            waiting.swept = false;
            return;
        }
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    // Nothing here panics half-way through a change.
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
