//! A new version's first records, where its manifest asks for a rollback.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use callgate_core::failure::Reason;

/// Counts traps among the first records of a version, until one of them does not trap or too many have.
pub struct Probation {
    traps: u32,
    trapped: AtomicU32,
    over: AtomicBool,
    alarm: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Probation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probation").field("traps", &self.traps).field("trapped", &self.trapped).finish_non_exhaustive()
    }
}

impl Probation {
    /// `alarm` is rung once, when the first `traps` records have all trapped.
    pub(super) fn new(traps: u32, alarm: impl Fn() + Send + Sync + 'static) -> Self {
        Self { traps, trapped: AtomicU32::new(0), over: AtomicBool::new(false), alarm: Box::new(alarm) }
    }

    /// The version's first call for some record has ended, with that failure if it has failed.
    pub(super) fn first_call(&self, failure: Option<Reason>) {
        if self.over.load(Relaxed) {
            return;
        }
        let trapped = matches!(failure, Some(Reason::Trap | Reason::OutOfMemory));
        let is_last = trapped && self.trapped.fetch_add(1, Relaxed) + 1 == self.traps;
        if !trapped || is_last {
            self.over.store(true, Relaxed);
        }
        if is_last {
            (self.alarm)();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn probation(traps: u32) -> (Probation, Arc<AtomicUsize>) {
        let rung = Arc::new(AtomicUsize::new(0));
        let bell = rung.clone();
        (
            Probation::new(traps, move || {
                bell.fetch_add(1, Relaxed);
            }),
            rung,
        )
    }

    #[test]
    fn the_alarm_rings_once_when_all_first_records_have_trapped() {
        let (probation, rung) = probation(3);
        for _ in 0..2 {
            probation.first_call(Some(Reason::Trap));
        }
        assert_eq!(rung.load(Relaxed), 0);
        for _ in 0..5 {
            probation.first_call(Some(Reason::OutOfMemory));
        }
        assert_eq!(rung.load(Relaxed), 1);
    }

    #[test]
    fn a_version_that_has_answered_once_is_trusted() {
        let (probation, rung) = probation(2);
        probation.first_call(Some(Reason::Trap));
        probation.first_call(None);
        for _ in 0..5 {
            probation.first_call(Some(Reason::Trap));
        }
        assert_eq!(rung.load(Relaxed), 0);
    }
}
