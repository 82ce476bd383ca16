//! What goes out waits here for a moment while much is on its way, so that it goes in batches.
//!
//! librdkafka can wait as well (`linger.ms`), but always: of few records, too, each would wait in vain. Without waiting, each
//! record of many wakes the client's threads and may become a request of its own, which costs host and broker more
//! than the record itself. So while few are on their way each goes at once; while many are, all go together, a few
//! milliseconds apart; and where nobody waits for any of them, since the host is behind, a few milliseconds more.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::Haste;

/// With so many on their way, a batch is worth waiting for.
const MANY: usize = 32;
/// From the first that waits to their departure.
const LINGER: Duration = Duration::from_millis(5);
/// How much longer they wait as long as all of them may.
const PATIENCE: Duration = Duration::from_millis(10);
/// So many are a batch that is large enough.
const ENOUGH: usize = 1000;
/// What may wait: more than comes in that time. Beyond it, whoever sends waits as for a full queue of the client.
const ROOM: usize = 10_000;
/// The client's queue is full: the broker is slower than the handlers.
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(1);

/// How many are with the client: handed over, and without a report.
#[derive(Debug, Default)]
pub(super) struct OnTheirWay(AtomicUsize);

impl OnTheirWay {
    pub(super) fn begin(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(super) fn end(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    pub(super) fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// What waits to go out; `T` is whatever is sent. It goes by itself, on a thread that is started with the first that waits.
pub(super) struct Gathering<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// Some that have waited are being handed over: whatever comes now is behind them.
    departing: usize,
    /// Of those that wait, the most.
    haste: Haste,
    has_thread: bool,
    is_over: bool,
}

/// What becomes of something that is to be sent.
pub(super) enum Departure<T> {
    /// It waits.
    Later,
    /// The caller sends it: nothing waits that it must not overtake.
    Now(T),
    /// There is no room; wait and try again.
    Full(T),
}

impl<T: Send + 'static> Gathering<T> {
    pub(super) fn new() -> Self {
        let state =
            State { waiting: VecDeque::new(), departing: 0, haste: Haste::Later, has_thread: false, is_over: false };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }) }
    }

    /// Takes it in where it is worth waiting. `send` is what the thread sends with; it gives back what does not
    /// fit into the client's queue.
    pub(super) fn join<F>(&self, item: T, haste: Haste, on_their_way: usize, send: impl FnOnce() -> F) -> Departure<T>
    where
        F: Fn(T) -> Result<(), T> + Send + 'static,
    {
        let mut state = self.shared.state();
        if haste == Haste::Now || on_their_way < MANY && state.is_empty() {
            return Departure::Now(item);
        }
        if state.waiting.len() >= ROOM {
            return Departure::Full(item);
        }
        if !state.has_thread {
            let (shared, send) = (self.shared.clone(), send());
            if thread::Builder::new().name("gathering".into()).spawn(move || shared.run(send)).is_err() {
                // The system has none left now; the next one may find one.
                return Departure::Now(item);
            }
            state.has_thread = true;
        }
        state.waiting.push_back(item);
        let count = state.waiting.len();
        if count == 1 || count == ENOUGH || haste > state.haste {
            self.shared.changed.notify_one();
        }
        state.haste = state.haste.max(haste);
        Departure::Later
    }

    /// How many have not been handed over.
    pub(super) fn waiting(&self) -> usize {
        let state = self.shared.state();
        state.waiting.len() + state.departing
    }
}

impl<T> Drop for Gathering<T> {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.shared.changed.notify_one();
    }
}

impl<T> State<T> {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.departing == 0
    }
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over what has waited, again and again, until nobody gathers any more.
    fn run(&self, send: impl Fn(T) -> Result<(), T>) {
        let mut departing = VecDeque::new();
        loop {
            let state = self.state();
            let waits = |state: &mut State<T>| state.waiting.is_empty() && !state.is_over;
            let state = self.changed.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
            if state.waiting.is_empty() {
                return;
            }
            drop(state);
            thread::sleep(LINGER);
            {
                let waits = |state: &mut State<T>| {
                    state.haste == Haste::Later && !state.is_over && state.waiting.len() < ENOUGH
                };
                let state = self.changed.wait_timeout_while(self.state(), PATIENCE, waits);
                let mut state = state.unwrap_or_else(PoisonError::into_inner).0;
                std::mem::swap(&mut state.waiting, &mut departing);
                (state.departing, state.haste) = (departing.len(), Haste::Later);
            }
            for mut item in departing.drain(..) {
                while let Err(back) = send(item) {
                    if self.state().is_over {
                        // Nobody waits for the broker any more: these records come again.
                        return;
                    }
                    item = back;
                    thread::sleep(FULL_QUEUE_PAUSE);
                }
            }
            self.state().departing = 0;
        }
    }
}

#[cfg(test)]
mod tests;
