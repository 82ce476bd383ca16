//! Why a partition takes in nothing more, for now or for good.

use std::sync::{Mutex, MutexGuard, PoisonError};

use callgate_core::stop::Stop;

use super::Partition;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Stops(Mutex<Reasons>);

#[derive(Debug, Default)]
struct Reasons {
    for_now: Option<Stop>,
    for_good: Option<Stop>,
}

impl Stops {
    fn reasons(&self) -> MutexGuard<'_, Reasons> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Partition {
    /// Takes in nothing more until [`go_on`](Self::go_on): why is for the operator.
    pub fn stop(&self, stop: Stop) {
        self.stops.reasons().for_now = Some(stop);
    }

    /// Ends a stop that is not for good.
    pub fn go_on(&self) {
        if self.stops.reasons().for_now.take().is_some() {
            self.wake.wake();
        }
    }

    /// Takes in nothing more as long as this assignment lasts: only the operator can say how to go on.
    pub fn stop_for_good(&self, stop: Stop) {
        self.stops.reasons().for_good = Some(stop);
    }

    /// Whether only the operator can say how to go on.
    pub fn is_stopped_for_good(&self) -> bool {
        self.stops.reasons().for_good.is_some()
    }

    /// Why nothing is taken in, if so.
    pub fn stopped(&self) -> Option<Stop> {
        let reasons = self.stops.reasons();
        reasons.for_good.as_ref().or(reasons.for_now.as_ref()).cloned()
    }
}
