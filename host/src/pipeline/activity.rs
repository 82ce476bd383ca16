//! What is being done for a handler at this moment.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The same for all versions and routes of a handler, as long as its group runs.
#[derive(Debug, Default)]
pub struct Activity {
    calls: AtomicUsize,
    retries: AtomicUsize,
}

impl Activity {
    /// Calls that have begun and not ended.
    pub fn calls(&self) -> usize {
        self.calls.load(Relaxed)
    }

    /// Records that wait for their next attempt.
    pub fn retries_waiting(&self) -> usize {
        self.retries.load(Relaxed)
    }

    /// A call is in flight as long as what is returned lives.
    pub(super) fn begin_call(&self) -> impl Drop {
        Counted::one_of(&self.calls)
    }

    /// A record waits for its next attempt as long as what is returned lives.
    pub(super) fn begin_retry(&self) -> impl Drop {
        Counted::one_of(&self.retries)
    }
}

struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn one_of(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_counts_no_longer() {
        let activity = Activity::default();
        let (one, other) = (activity.begin_call(), activity.begin_call());
        let retry = activity.begin_retry();
        assert_eq!((activity.calls(), activity.retries_waiting()), (2, 1));
        drop((one, retry));
        assert_eq!((activity.calls(), activity.retries_waiting()), (1, 0));
        drop(other);
        assert_eq!(activity.calls(), 0);
    }
}
