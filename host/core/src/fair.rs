//! Whose turn it is: the queue of one worker, fair among tenants by the time that each has really taken.
//!
//! What a turn costs is known only afterwards, and turns differ a hundredfold: 15 µs for a whole call, a millisecond for
//! a slice of one that computes. So nobody is given a quantum in advance. Each tenant has a *virtual time*, what it has
//! been charged divided by its weight, and the next turn is of the tenant that has had least (start-time fair queueing).
//! A tenant that wants less than its share is therefore always next, behind nobody but the turn that is being
//! taken; those that want more share what is left, evenly to within one turn.
//!
//! No clock: whoever takes turns says how long they took.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, HashMap, VecDeque};

#[cfg(test)]
mod tests;

/// A tenant, as long as it runs.
pub type TenantId = u64;

/// Tenants that are remembered although they want nothing, before it is looked at which of them may be forgotten.
const REMEMBERED: usize = 64;

/// What a tenant gets among those that compete, relative to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight(u32);

impl Weight {
    /// The weight of a tenant that is given none.
    pub const ONE: Self = Self(Self::SCALE);
    /// The smallest and the largest: one tenant gets ten thousand times as much as another at most.
    pub const BOUNDS: (f64, f64) = (0.01, 100.0);
    const SCALE: u32 = 1000;

    /// A weight within [`BOUNDS`](Self::BOUNDS), to three decimals.
    pub fn new(share: f64) -> Option<Self> {
        let (least, most) = Self::BOUNDS;
        (least..=most).contains(&share).then(|| Self((share * f64::from(Self::SCALE)).round() as u32))
    }

    fn virtual_time(self, nanos: u64) -> u64 {
        nanos.saturating_mul(Self::SCALE.into()) / u64::from(self.0)
    }
}

/// Where in its tenant's queue something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind what is short.
    Short,
    /// Behind what is long. Long and short ones take turns, so that many long ones hold no short one up.
    Long,
    /// Before everything that is short.
    Front,
}

/// See the module. `T` is what waits for a turn.
#[derive(Debug)]
pub struct FairQueue<T> {
    tenants: HashMap<TenantId, Tenant<T>>,
    // Those that have something waiting, each once, by a virtual time that may be behind its true one.
    ready: BinaryHeap<Reverse<(u64, TenantId)>>,
    // The virtual time of the latest turn: whoever was idle goes on from here, and has saved nothing.
    clock: u64,
    // The highest virtual time of all.
    latest: u64,
}

#[derive(Debug)]
struct Tenant<T> {
    weight: Weight,
    short: VecDeque<T>,
    long: VecDeque<T>,
    long_is_next: bool,
    virtual_time: u64,
    spent: u64,
    is_ready: bool,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { tenants: HashMap::new(), ready: BinaryHeap::new(), clock: 0, latest: 0 }
    }
}

impl<T> FairQueue<T> {
    /// Nothing waits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has something wait for a turn of its tenant's. The weight counts from now on.
    pub fn push(&mut self, id: TenantId, weight: Weight, place: Place, item: T) {
        let tenant = self.tenants.entry(id).or_insert_with(Tenant::new);
        tenant.weight = weight;
        match place {
            Place::Short => tenant.short.push_back(item),
            Place::Long => tenant.long.push_back(item),
            Place::Front => tenant.short.push_front(item),
        }
        if !tenant.is_ready {
            tenant.is_ready = true;
            tenant.virtual_time = tenant.virtual_time.max(self.clock);
            self.ready.push(Reverse((tenant.virtual_time, id)));
        }
    }

    /// Takes what is next. What it costs is to be [charged](Self::charge) before the next one is taken.
    pub fn pop(&mut self) -> Option<(TenantId, T)> {
        loop {
            let Some(mut first) = self.ready.peek_mut() else {
                // Nobody has had anything at the expense of others: all begin anew.
                self.clock = self.latest;
                return None;
            };
            let Reverse((known, id)) = *first;
            let tenant = self.tenants.get_mut(&id)?;
            if tenant.virtual_time > known {
                first.0.0 = tenant.virtual_time;
                continue;
            }
            self.clock = known;
            let item = tenant.take()?;
            if tenant.is_empty() {
                tenant.is_ready = false;
                PeekMut::pop(first);
            } else {
                drop(first);
            }
            self.forget_idle(id);
            return Some((id, item));
        }
    }

    /// Charges a tenant with the time that its turn took.
    pub fn charge(&mut self, id: TenantId, nanos: u64) {
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.spent += nanos;
            tenant.virtual_time += tenant.weight.virtual_time(nanos);
            self.latest = self.latest.max(tenant.virtual_time);
        }
    }

    /// Nanoseconds charged to a tenant in all, since it has last been idle for long.
    pub fn spent(&self, id: TenantId) -> u64 {
        self.tenants.get(&id).map_or(0, |tenant| tenant.spent)
    }

    /// Whether tenants other than this one have something waiting.
    pub fn others_wait(&self, id: TenantId) -> bool {
        self.ready.len() > usize::from(self.tenants.get(&id).is_some_and(|tenant| tenant.is_ready))
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Of idle tenants only those are worth remembering that have had more than the others.
    fn forget_idle(&mut self, current: TenantId) {
        if self.tenants.len() > 2 * self.ready.len() + REMEMBERED {
            let clock = self.clock;
            self.tenants.retain(|id, tenant| tenant.is_ready || tenant.virtual_time > clock || *id == current);
        }
    }
}

impl<T> Tenant<T> {
    fn new() -> Self {
        Self {
            weight: Weight::ONE,
            short: VecDeque::new(),
            long: VecDeque::new(),
            long_is_next: false,
            virtual_time: 0,
            spent: 0,
            is_ready: false,
        }
    }

    fn take(&mut self) -> Option<T> {
        let take_long = if self.long_is_next { !self.long.is_empty() } else { self.short.is_empty() };
        self.long_is_next = !take_long;
        if take_long { self.long.pop_front() } else { self.short.pop_front() }
    }

    fn is_empty(&self) -> bool {
        self.short.is_empty() && self.long.is_empty()
    }
}
