//! Whether instances that have served before may serve again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use callgate_core::route::Instances;

use super::Callable;

/// Calls in a row that failed in an instance that had served before, and whose next attempt was answered by a fresh one:
/// after so many it is the reuse that is at fault.
const MAX_FAILURES: u32 = 3;

/// How one version of a handler takes to being reused; shared by all workers.
#[derive(Debug, Default)]
pub struct Reuse {
    failures: AtomicU32,
    given_up: AtomicBool,
}

impl Reuse {
    fn is_given_up(&self) -> bool {
        self.given_up.load(Relaxed)
    }

    /// A fresh instance answered what a used one could not. Whether that was once too often, which happens once.
    fn failed(&self) -> bool {
        self.failures.fetch_add(1, Relaxed) + 1 >= MAX_FAILURES && !self.given_up.swap(true, Relaxed)
    }

    fn succeeded(&self) {
        self.failures.store(0, Relaxed);
    }
}

/// The calls for one record, as far as they decide which instances the next one gets: a retry gets fresh ones.
#[derive(Debug, Default)]
pub struct Attempts {
    made: bool,
    failed_in_used: Option<Arc<Callable>>,
    gave_up: bool,
}

impl Attempts {
    /// Whether the last call was the one after which its handler's instances are not reused any more.
    pub fn gave_up_reuse(&self) -> bool {
        self.gave_up
    }

    pub(super) fn choose(&self, callable: &Callable, instances: Instances) -> Choice {
        match instances {
            Instances::Reuse { records } if !callable.reuse.is_given_up() => Choice { take: !self.made, records },
            _ => Choice::FRESH,
        }
    }

    /// A call has ended: in an instance that had served before, or not; answered, or failed.
    pub(super) fn ended(&mut self, callable: &Arc<Callable>, used: bool, answered: bool) {
        self.made = true;
        self.gave_up = false;
        match (used, answered) {
            (true, true) => callable.reuse.succeeded(),
            (true, false) => self.failed_in_used = Some(callable.clone()),
            (false, true) => {
                let before = self.failed_in_used.take();
                self.gave_up = before.is_some_and(|before| Arc::ptr_eq(&before, callable) && callable.reuse.failed());
            }
            (false, false) => self.failed_in_used = None,
        }
        if self.gave_up {
            let Callable { tenant, handler, .. } = &**callable;
            tracing::warn!(
                target: "callgate::invoke", code = "run.reuse-given-up", %tenant, %handler, digest = %callable.digest(),
                "three times in a row an instance that had served before failed at a record that a fresh one answered: \
                 from now on each record gets a fresh one"
            );
        }
    }
}

/// Which instances a call gets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    /// Whether one that has served before will do.
    pub(super) take: bool,
    /// Records that an instance may serve; one is its last.
    pub(super) records: u32,
}

impl Choice {
    pub(super) const FRESH: Self = Self { take: false, records: 1 };
}
