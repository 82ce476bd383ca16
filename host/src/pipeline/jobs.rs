//! Lanes that have records and nobody who works on them, shared by all workers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use callgate_core::order::LaneId;
use tokio::sync::Notify;

use super::bound::Routes;
use super::unit::Settlement;
use crate::consume::Partition;

/// A lane to be emptied.
pub(super) struct Job {
    pub(super) partition: Arc<Partition>,
    pub(super) lane: LaneId,
    pub(super) routes: Arc<Routes>,
    pub(super) settlement: Arc<Settlement>,
}

/// The queue of jobs. A worker that has nothing else to do takes the next one; while there is none, any worker does.
pub(super) struct Jobs<J = Job> {
    waiting: Mutex<VecDeque<J>>,
    // Two bells: one bell would as soon wake a worker that is busy as one that is idle.
    idle_bell: Notify,
    busy_bell: Notify,
    idle: AtomicUsize,
}

impl<J> Default for Jobs<J> {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            idle_bell: Notify::new(),
            busy_bell: Notify::new(),
            idle: AtomicUsize::new(0),
        }
    }
}

impl<J> Jobs<J> {
    pub(super) fn push(&self, job: J) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(job);
        if self.is_wanted() { self.idle_bell.notify_one() } else { self.busy_bell.notify_one() }
    }

    fn try_pop(&self) -> Option<J> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Takes the next job, waiting for one. `busy` says whether the worker has other work meanwhile.
    pub(super) async fn pop(&self, busy: bool) -> J {
        // Counted before the queue is looked at: either this look finds a job, or whoever brings one sees the count.
        let _idle = (!busy).then(|| Idle::new(&self.idle));
        let bell = if busy { &self.busy_bell } else { &self.idle_bell };
        loop {
            if let Some(job) = self.try_pop() {
                return job;
            }
            bell.notified().await;
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

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn a_job_goes_to_a_worker_that_is_idle() {
        let (jobs, mut context) = (Jobs::default(), Context::from_waker(Waker::noop()));
        let (mut busy, mut idle) = (pin!(jobs.pop(true)), pin!(jobs.pop(false)));
        assert!(busy.as_mut().poll(&mut context).is_pending());
        assert!(idle.as_mut().poll(&mut context).is_pending());
        assert!(jobs.is_wanted());
        jobs.push("a lane");
        assert!(busy.as_mut().poll(&mut context).is_pending());
        assert_eq!(idle.as_mut().poll(&mut context), Poll::Ready("a lane"));
    }

    #[test]
    fn while_all_are_busy_any_of_them_takes_it() {
        let (jobs, mut context) = (Jobs::default(), Context::from_waker(Waker::noop()));
        let mut busy = pin!(jobs.pop(true));
        assert!(busy.as_mut().poll(&mut context).is_pending());
        assert!(!jobs.is_wanted());
        jobs.push("a lane");
        assert_eq!(busy.as_mut().poll(&mut context), Poll::Ready("a lane"));
    }
}
