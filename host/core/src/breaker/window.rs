//! Counts over the last so long.

use std::time::Duration;

/// The window moves in steps of this share of it.
const STEPS: u32 = 12;

/// Records that ended within the last so long, and how many of them were dead letters. The oldest step leaves as a whole,
/// so the window is exact to a twelfth of it.
#[derive(Debug)]
pub(super) struct Window {
    step: Duration,
    steps: [Counts; STEPS as usize],
    total: Counts,
    /// The number of the step that counts now.
    current: u128,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    dead: u32,
    all: u32,
}

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        let step = (length / STEPS).max(Duration::from_nanos(1));
        Self { step, steps: [Counts::default(); STEPS as usize], total: Counts::default(), current: 0 }
    }

    pub(super) fn add(&mut self, now: Duration, is_dead_letter: bool) {
        self.advance(now.as_nanos() / self.step.as_nanos());
        let here = self.index();
        for counts in [&mut self.steps[here], &mut self.total] {
            counts.all = counts.all.saturating_add(1);
            counts.dead = counts.dead.saturating_add(u32::from(is_dead_letter));
        }
    }

    /// Dead letters, and records in all, as of the last one.
    pub(super) fn counts(&self) -> (u32, u32) {
        (self.total.dead, self.total.all)
    }

    fn advance(&mut self, to: u128) {
        // After a whole window of silence nothing is left, however long it was.
        let steps = to.saturating_sub(self.current).min(u128::from(STEPS));
        for _ in 0..steps {
            self.current += 1;
            let oldest = self.index();
            let gone = std::mem::take(&mut self.steps[oldest]);
            self.total.all = self.total.all.saturating_sub(gone.all);
            self.total.dead = self.total.dead.saturating_sub(gone.dead);
        }
        self.current = self.current.max(to);
    }

    fn index(&self) -> usize {
        (self.current % u128::from(STEPS)) as usize
    }
}
