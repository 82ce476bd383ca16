//! What a call may know of its turns.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How long the call that runs now has been kept waiting by others: ready to go on, while the worker computed for other
/// tenants.
///
/// Whoever gives calls their turns sets it before each turn; where nobody does, no call ever waits. One worker reads
/// and writes it; atomic since the stores that share it want `Sync`.
#[derive(Debug, Default)]
pub struct Waits(AtomicU64);

impl Waits {
    /// Says how long whatever goes on now has waited so far, all its turns together.
    pub fn set(&self, waited: Duration) {
        self.0.store(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// How long it has waited.
    pub fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }
}
