//! One budget that tenants share, such that none of them can hold all of it.
//!
//! What is held cannot be taken back: a call keeps its memory until it ends, and that may be its deadline. So there must be
//! room left for whoever comes next. A tenant may hold at most [`TIMES_WHAT_IS_LEFT`] as much as would still be free (a
//! dynamic threshold, as switches share their buffers): alone it gets most of the budget, beside others an even part of
//! it, and something is always free. Its first part each tenant gets whenever that fits.
//!
//! Nobody who does not fit stands in the way of another who does. Only while a tenant that holds nothing waits, those
//! that do hold something get no more: else what becomes free would never come together for it.

use std::collections::{HashMap, VecDeque};

use crate::fair::TenantId;

#[cfg(test)]
mod tests;

/// How much a tenant may hold, in terms of what is left.
const TIMES_WHAT_IS_LEFT: u64 = 4;

/// See the module. `T` stands for somebody who waits.
#[derive(Debug)]
pub struct Budget<T> {
    total: u64,
    held: u64,
    tenants: HashMap<TenantId, Tenant<T>>,
    waiting: usize,
}

#[derive(Debug)]
struct Tenant<T> {
    held: u64,
    waiting: VecDeque<(u64, T)>,
}

impl<T> Budget<T> {
    /// So many bytes, of which nobody holds any.
    pub fn new(total: u64) -> Self {
        Self { total, held: 0, tenants: HashMap::new(), waiting: 0 }
    }

    /// Takes so much out of the budget for other purposes, or gives that back; what is held already stays held. Returns
    /// those who need wait no longer.
    #[must_use = "what they asked for is theirs, and must be given back"]
    pub fn resize(&mut self, total: u64) -> Vec<T> {
        self.total = total;
        self.serve()
    }

    /// The size of the budget.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What is held by all.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Reserves so much for a tenant.
    ///
    /// # Errors
    ///
    /// There is no room for it now. The tenant is to [wait](Self::wait), or to do without.
    pub fn reserve(&mut self, id: TenantId, bytes: u64) -> Result<(), NoRoom> {
        // Whoever waits was there before, and the others have had something.
        let tenant = self.tenants.get(&id);
        let holds = tenant.map_or(0, |tenant| tenant.held);
        let is_behind_its_own = tenant.is_some_and(|tenant| !tenant.waiting.is_empty());
        if is_behind_its_own || !self.fits(holds, bytes) || (holds > 0 && self.somebody_has_nothing()) {
            return Err(NoRoom);
        }
        self.take(id, bytes);
        Ok(())
    }

    /// Waits behind those of the same tenant, until [`give_back`](Self::give_back) names it.
    pub fn wait(&mut self, id: TenantId, bytes: u64, waiter: T) {
        self.waiting += 1;
        self.tenant(id).waiting.push_back((bytes, waiter));
    }

    /// Gives back what a tenant has held. Returns those who need wait no longer: what they asked for is theirs.
    #[must_use = "what they asked for is theirs, and must be given back"]
    pub fn give_back(&mut self, id: TenantId, bytes: u64) -> Vec<T> {
        self.held = self.held.saturating_sub(bytes);
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.held = tenant.held.saturating_sub(bytes);
            if tenant.held == 0 && tenant.waiting.is_empty() {
                self.tenants.remove(&id);
            }
        }
        self.serve()
    }

    fn serve(&mut self) -> Vec<T> {
        let mut served = Vec::new();
        while self.waiting > 0
            && let Some(id) = self.next()
            && let Some((bytes, waiter)) = self.tenant(id).waiting.pop_front()
        {
            self.waiting -= 1;
            self.take(id, bytes);
            served.push(waiter);
        }
        served
    }

    /// The tenant that holds least, of those that wait for something that fits.
    fn next(&self) -> Option<TenantId> {
        let first_only = self.somebody_has_nothing();
        let waiting = self.tenants.iter().filter(|(_, tenant)| {
            let fits = tenant.waiting.front().is_some_and(|(bytes, _)| self.fits(tenant.held, *bytes));
            fits && (tenant.held == 0 || !first_only)
        });
        waiting.min_by_key(|(id, tenant)| (tenant.held, **id)).map(|(id, _)| *id)
    }

    fn fits(&self, holds: u64, bytes: u64) -> bool {
        let left = self.total.saturating_sub(self.held);
        match left.checked_sub(bytes) {
            Some(left) => holds == 0 || holds + bytes <= left.saturating_mul(TIMES_WHAT_IS_LEFT),
            // More than there is at all: it must be alone.
            None => self.held == 0,
        }
    }

    fn somebody_has_nothing(&self) -> bool {
        self.waiting > 0 && self.tenants.values().any(|tenant| tenant.held == 0 && !tenant.waiting.is_empty())
    }

    fn take(&mut self, id: TenantId, bytes: u64) {
        self.held += bytes;
        self.tenant(id).held += bytes;
    }

    fn tenant(&mut self, id: TenantId) -> &mut Tenant<T> {
        self.tenants.entry(id).or_insert_with(|| Tenant { held: 0, waiting: VecDeque::new() })
    }
}

/// There is no room for it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;
