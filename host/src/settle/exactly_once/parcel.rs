//! A record on its way in a transaction, and what became of all those of one transaction.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use callgate_core::record::OutgoingRecord;

use crate::broker::{DeliveryError, Shipment};

/// See the module.
pub(super) struct Parcel {
    pub(super) record: Arc<OutgoingRecord>,
    /// Counts the records of the transaction.
    pub(super) place: usize,
    pub(super) fates: Arc<Fates>,
}

impl Shipment for Parcel {
    fn record(&self) -> &OutgoingRecord {
        &self.record
    }

    fn delivered(self: Box<Self>, result: Result<(), DeliveryError>) {
        self.fates.tell(self.place, result);
    }
}

/// What became of a transaction's records.
#[derive(Default)]
pub(super) struct Fates {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    arrived: usize,
    failed: BTreeMap<usize, DeliveryError>,
}

impl Fates {
    fn tell(&self, place: usize, result: Result<(), DeliveryError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => state.arrived += 1,
            Err(error) => {
                state.failed.insert(place, error);
            }
        }
        self.bell.notify_one();
    }

    /// Waits until all of so many have arrived, at most for `timeout`. `false`, and at once, if one has failed.
    pub(super) fn await_arrival(&self, sent: usize, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.failed.is_empty() && state.arrived < sent {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return false };
            state = self.bell.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.failed.is_empty()
    }

    /// Those that have failed, by their places. To be asked when the transaction has been aborted.
    pub(super) fn failed(&self) -> BTreeMap<usize, DeliveryError> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failed.clone()
    }
}
