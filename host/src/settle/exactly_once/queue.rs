//! From the workers to a writer: outcomes in the order in which they were handed over.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::outcome::Outcome;
use crate::broker::{PRODUCER_BUFFER, Wake};

/// Bytes that wait at most, beside one outcome of whatever size; as much is in an open transaction. So a group's two
/// writers hold as much as one producer may.
const MAX_BYTES: usize = PRODUCER_BUFFER / 4;

/// See the module.
pub(super) struct Queue<U> {
    state: Mutex<State<U>>,
    room: Notify,
    wake: Wake,
    closed: AtomicBool,
}

struct State<U> {
    outcomes: VecDeque<Outcome<U>>,
    bytes: usize,
    // Somebody waits for room.
    full: bool,
}

impl<U> Default for Queue<U> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State { outcomes: VecDeque::new(), bytes: 0, full: false }),
            room: Notify::new(),
            wake: Wake::default(),
            closed: AtomicBool::new(false),
        }
    }
}

impl<U> Queue<U> {
    fn state(&self) -> MutexGuard<'_, State<U>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an outcome at the end, waiting for room: that is the back-pressure of a slow broker.
    pub(super) async fn push(&self, outcome: Outcome<U>) {
        let bytes = outcome.size();
        loop {
            let room = self.room.notified();
            {
                let mut state = self.state();
                if state.bytes == 0 || state.bytes + bytes <= MAX_BYTES {
                    state.bytes += bytes;
                    state.outcomes.push_back(outcome);
                    break;
                }
                state.full = true;
            }
            room.await;
        }
        self.wake.wake();
    }

    /// Takes the first outcome, if there is one.
    pub(super) fn pop(&self) -> Option<Outcome<U>> {
        let mut state = self.state();
        let outcome = state.outcomes.pop_front()?;
        state.bytes -= outcome.size();
        if state.full && state.bytes <= MAX_BYTES / 2 {
            state.full = false;
            self.room.notify_waiters();
        }
        Some(outcome)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state().outcomes.is_empty()
    }

    pub(super) fn for_each(&self, see: impl FnMut(&Outcome<U>)) {
        self.state().outcomes.iter().for_each(see);
    }

    /// Waits until something is handed over or the queue is closed, at most for `timeout`. For the writer alone.
    pub(super) fn sleep(&self, timeout: Duration) {
        self.wake.sleep(timeout);
    }

    /// Nothing will be handed over any more; its writer ends.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake.wake();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}
