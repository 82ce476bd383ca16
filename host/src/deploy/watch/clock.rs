//! When something that was seen counts.

use std::time::{Duration, Instant, SystemTime};

use super::observed::Observed;

/// A file counts when it has been unchanged for so long: while it is being written, half of it is often valid.
pub(super) const SETTLED: Duration = Duration::from_secs(1);

/// At the first look nothing is known of the time before. A file that is older than this by its own times counts at
/// once, so that a start with a quiet directory is immediate.
const QUIET: Duration = Duration::from_secs(2);

/// The time of one look. Only the monotonic clock says how long something has been unchanged: the other one may jump,
/// and files may have any time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) now: Instant,
    settled: Duration,
    quiet_before: Option<SystemTime>,
}

impl Clock {
    /// A look among others. `first` is the time of day, at the first one.
    pub(super) fn new(now: Instant, first: Option<SystemTime>) -> Self {
        Self { now, settled: SETTLED, quiet_before: first.and_then(|time| time.checked_sub(QUIET)) }
    }

    /// A look that is not repeated: everything counts.
    pub(super) fn at_once(now: Instant) -> Self {
        Self { now, settled: Duration::ZERO, quiet_before: None }
    }

    pub(super) fn waits(&self) -> bool {
        !self.settled.is_zero()
    }

    /// When something counts that has only now been seen to be as it is.
    pub(super) fn counts_at(&self) -> Instant {
        self.now + self.settled
    }

    /// The same for a file.
    pub(super) fn file_counts_at(&self, file: Option<&Observed>) -> Instant {
        let quiet = self.quiet_before.is_some_and(|time| file.is_none_or(|file| file.is_older_than(time)));
        if quiet { self.now } else { self.counts_at() }
    }
}

/// A value that counts when it has been the same for long enough. At first it is the default one.
#[derive(Debug, Default)]
pub(super) struct Steady<T> {
    latest: T,
    counted: T,
    counts_at: Option<Instant>,
}

impl<T: Clone + PartialEq> Steady<T> {
    /// Takes note of what was seen; returns whether what counts has changed.
    pub(super) fn see(&mut self, value: T, clock: Clock) -> bool {
        if value != self.latest {
            self.latest = value;
            self.counts_at = Some(clock.counts_at());
        }
        let changes = self.is_settling() && self.counts_at.is_some_and(|at| at <= clock.now);
        if changes {
            self.counted = self.latest.clone();
        }
        changes
    }

    /// What counts.
    pub(super) fn get(&self) -> &T {
        &self.counted
    }

    pub(super) fn is_settling(&self) -> bool {
        self.latest != self.counted
    }
}
