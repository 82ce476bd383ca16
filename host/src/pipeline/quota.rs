//! What a tenant's calls may have of the host: the handlers of all its groups share it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use callgate_core::fair::{TenantId, Weight};
use tokio::sync::Semaphore;

use super::executor::Share;

static TENANTS: AtomicU64 = AtomicU64::new(0);

/// See the module.
#[derive(Debug)]
pub(super) struct Quota {
    tenant: TenantId,
    weight: Weight,
    /// Calls at once.
    pub(super) slots: Semaphore,
}

impl Quota {
    /// For a tenant that nobody competes as yet.
    pub(super) fn new(max_in_flight: usize, weight: Weight) -> Self {
        Self { tenant: TENANTS.fetch_add(1, Relaxed), weight, slots: Semaphore::new(max_in_flight) }
    }

    /// How it competes for the workers.
    pub(super) fn share(&self) -> Share {
        Share { tenant: self.tenant, weight: self.weight }
    }
}
