//! Whether a thread goes on: it says so at each of its turns, for whoever asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// No thread has its turn, nor should one.
const AT_REST: u64 = u64::MAX;

/// The pulse of one thread, or of what is to have its turns on one. A beat costs an atomic store.
#[derive(Debug)]
pub struct Pulse {
    made: Instant,
    // Milliseconds since it was made.
    last: AtomicU64,
}

impl Pulse {
    /// The first turn is to come soon.
    pub fn new(now: Instant) -> Self {
        Self { made: now, last: AtomicU64::new(0) }
    }

    /// A turn begins.
    pub fn beat(&self, now: Instant) {
        self.last.store(self.millis(now), Relaxed);
    }

    /// There is nothing to do: no turn is expected before the next beat.
    pub fn rest(&self) {
        self.last.store(AT_REST, Relaxed);
    }

    /// For how long a turn has been missing; nothing while it is at rest.
    pub fn silence(&self, now: Instant) -> Duration {
        match self.last.load(Relaxed) {
            AT_REST => Duration::ZERO,
            last => Duration::from_millis(self.millis(now).saturating_sub(last)),
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.made).as_millis()).unwrap_or(AT_REST - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_counted_from_the_latest_beat() {
        let made = Instant::now();
        let after = |seconds| made + Duration::from_secs(seconds);
        let pulse = Pulse::new(made);
        assert_eq!(pulse.silence(after(40)), Duration::from_secs(40), "it has never begun");
        pulse.beat(after(50));
        assert_eq!(pulse.silence(after(50)), Duration::ZERO);
        assert_eq!(pulse.silence(after(90)), Duration::from_secs(40));
    }

    #[test]
    fn who_has_nothing_to_do_is_not_missing() {
        let made = Instant::now();
        let pulse = Pulse::new(made);
        pulse.rest();
        assert_eq!(pulse.silence(made + Duration::from_secs(3600)), Duration::ZERO);
        pulse.beat(made + Duration::from_secs(3600));
        assert_eq!(pulse.silence(made + Duration::from_secs(3601)), Duration::from_secs(1));
    }
}
