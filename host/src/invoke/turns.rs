//! The long calls of a worker take turns.
//!
//! A call is *long* once it has computed for a whole tick. However many there are, at most one of them is ready to run
//! at a time, for one tick; then it goes to the end of the line. So a short call waits for one tick at most, and a long
//! one whose time is up is woken past the line and ends at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::meter::Meter;

/// The line of one worker. Only that worker uses it; the lock is there since stores share it, and they want `Sync`.
#[derive(Default)]
pub(super) struct Turns(Mutex<Line>);

#[derive(Default)]
struct Line {
    waiting: VecDeque<Arc<Meter>>,
    /// Whose turn it is: woken, or running.
    current: Option<Arc<Meter>>,
}

impl Turns {
    fn line(&self) -> MutexGuard<'_, Line> {
        // Nothing here panics half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A long call's tick is over: it goes to the end of the line.
    pub(super) fn queue(&self, call: Arc<Meter>) {
        let mut line = self.line();
        line.give_up(&call);
        line.waiting.push_back(call);
    }

    /// Whether it is this call's turn.
    pub(super) fn has(&self, call: &Arc<Meter>) -> bool {
        self.line().current.as_ref().is_some_and(|current| Arc::ptr_eq(current, call))
    }

    /// A long call has stopped for now. Whatever made it stop, its turn is over; the next one is woken.
    pub(super) fn pass(&self, had_turn: bool, call: &Arc<Meter>) {
        let mut line = self.line();
        if had_turn {
            line.give_up(call);
        }
        line.advance();
    }

    /// A call has ended, whether it was its turn or it was waiting.
    pub(super) fn leave(&self, call: &Arc<Meter>) {
        let mut line = self.line();
        line.give_up(call);
        line.waiting.retain(|waiting| !Arc::ptr_eq(waiting, call));
        line.advance();
    }
}

impl Line {
    fn give_up(&mut self, call: &Arc<Meter>) {
        if self.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, call)) {
            self.current = None;
        }
    }

    fn advance(&mut self) {
        if self.current.is_none()
            && let Some(next) = self.waiting.pop_front()
        {
            next.wake();
            self.current = Some(next);
        }
    }
}
