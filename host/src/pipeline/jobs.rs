//! Lanes that have records and nobody who works on them, shared by all workers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use callgate_core::order::LaneId;
use tokio::sync::Notify;

use super::bound::Routes;
use super::unit::RecordUnit;
use crate::consume::Partition;
use crate::settle::AtLeastOnce;

/// A lane to be emptied.
pub(super) struct Job {
    pub(super) partition: Arc<Partition>,
    pub(super) lane: LaneId,
    pub(super) routes: Arc<Routes>,
    pub(super) settlement: Arc<AtLeastOnce<RecordUnit>>,
}

/// The queue of jobs. Whoever is idle takes the next one.
#[derive(Default)]
pub(super) struct Jobs {
    waiting: Mutex<VecDeque<Job>>,
    bell: Notify,
    idle: AtomicUsize,
}

impl Jobs {
    pub(super) fn push(&self, job: Job) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(job);
        self.bell.notify_one();
    }

    fn try_pop(&self) -> Option<Job> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Takes the next job, waiting for one. `busy` says whether the worker has other work meanwhile.
    pub(super) async fn pop(&self, busy: bool) -> Job {
        loop {
            if let Some(job) = self.try_pop() {
                return job;
            }
            let _idle = (!busy).then(|| Idle::new(&self.idle));
            self.bell.notified().await;
        }
    }

    /// Whether a worker has nothing to do, so that another one that has several lanes should pass one on.
    pub(super) fn is_wanted(&self) -> bool {
        self.idle.load(Ordering::Relaxed) > 0
    }
}

struct Idle<'a>(&'a AtomicUsize);

impl<'a> Idle<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
