//! What a tenant's calls may have of the host: the handlers of all its groups share it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use callgate_core::fair::{TenantId, Weight};
use tokio::sync::Semaphore;

use super::executor::Share;

/// Lanes whose calls wait for others that workers take nevertheless. Their records may not need a call at all; but there may
/// be thousands of lanes, and each that is taken costs memory.
const WAITING: usize = 32;

static TENANTS: AtomicU64 = AtomicU64::new(0);

/// See the module.
#[derive(Debug)]
pub(super) struct Quota {
    tenant: TenantId,
    weight: Weight,
    /// Calls at once.
    pub(super) slots: Semaphore,
    waiting: AtomicUsize,
}

impl Quota {
    /// For a tenant that nobody competes as yet.
    pub(super) fn new(max_in_flight: usize, weight: Weight) -> Self {
        Self {
            tenant: TENANTS.fetch_add(1, Relaxed),
            weight,
            slots: Semaphore::new(max_in_flight),
            waiting: AtomicUsize::new(0),
        }
    }

    /// How it competes for the workers.
    pub(super) fn share(&self) -> Share {
        Share { tenant: self.tenant, weight: self.weight }
    }

    /// A call waits for others of its route or tenant, as long as what is returned lives.
    pub(super) fn begin_waiting(&self) -> impl Drop {
        self.waiting.fetch_add(1, Relaxed);
        Waits(&self.waiting)
    }

    /// Whether one more that would wait is to be taken.
    pub(super) fn takes_one_that_waits(&self) -> bool {
        self.waiting.load(Relaxed) < WAITING
    }
}

struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
