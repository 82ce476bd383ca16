//! The memory of one call: all linear memories and tables of all its components together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use wasmtime::ResourceLimiter;

/// The bytes that the components of one call share. Only the call's own worker uses it; atomic since the stores that share
/// it want `Sync`.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicUsize,
}

impl Budget {
    /// So many bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { left: AtomicUsize::new(limit) }
    }

    fn take(&self, bytes: usize) -> bool {
        let left = self.left.load(Relaxed);
        let enough = bytes <= left;
        if enough {
            self.left.store(left - bytes, Relaxed);
        }
        enough
    }

    fn give_back(&self, bytes: usize) {
        self.left.store(self.left.load(Relaxed) + bytes, Relaxed);
    }
}

/// Bytes that the host keeps for a call outside of its guests' memory: they count as well.
#[derive(Debug)]
pub(super) struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Held {
    /// None yet.
    pub(super) fn of(budget: Arc<Budget>) -> Self {
        Self { budget, bytes: 0 }
    }

    /// So many more, if there is room for them.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let enough = self.budget.take(bytes);
        if enough {
            self.bytes += bytes;
        }
        enough
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// Counts what one component has, and refuses what is over the call's limit. What it has goes back when it ends.
///
/// A refused `memory.grow` is not yet a failure: some guests go on without. But a guest that traps afterwards did so
/// for want of memory, so it is remembered.
#[derive(Debug)]
pub(super) struct Memory {
    /// The call's, while there is one.
    budget: Option<Arc<Budget>>,
    used: usize,
    last_growth: usize,
    refused: bool,
}

impl Memory {
    /// A component that takes from this budget.
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self { budget: Some(budget), used: 0, last_growth: 0, refused: false }
    }

    /// Bytes that the component has.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// The component takes part in another call, with all that it has. Whether that call may have so much.
    pub(super) fn join(&mut self, budget: &Arc<Budget>) -> bool {
        self.leave();
        (self.last_growth, self.refused) = (0, false);
        let enough = budget.take(self.used);
        self.budget = enough.then(|| budget.clone());
        enough
    }

    /// The call has ended, and the component stays.
    pub(super) fn leave(&mut self) {
        if let Some(budget) = self.budget.take() {
            budget.give_back(self.used);
        }
    }

    /// Whether the guest has asked for more than there was.
    pub(super) fn refused(&self) -> bool {
        self.refused
    }

    fn grow(&mut self, growth: usize, possible: bool) -> bool {
        let Some(budget) = &self.budget else { return false };
        if growth > budget.left.load(Relaxed) {
            self.refused = true;
            return false;
        }
        if possible && budget.take(growth) {
            self.used += growth;
            self.last_growth = growth;
        }
        possible
    }

    fn take_back(&mut self) {
        let growth = std::mem::take(&mut self.last_growth);
        self.used -= growth;
        if let Some(budget) = &self.budget {
            budget.give_back(growth);
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.leave();
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired - current, maximum.is_none_or(|maximum| desired <= maximum)))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let growth = (desired - current).saturating_mul(size_of::<usize>());
        Ok(self.grow(growth, maximum.is_none_or(|maximum| desired <= maximum)))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(limit: usize) -> Memory {
        Memory::new(Arc::new(Budget::new(limit)))
    }

    #[test]
    fn all_memories_and_tables_count_together() {
        let mut memory = memory(1000);
        assert!(memory.memory_growing(0, 600, None).expect("it works"));
        assert!(memory.table_growing(0, 50, None).expect("it works"));
        assert!(!memory.refused());
        assert!(!memory.memory_growing(0, 1, None).expect("it works"));
        assert!(memory.refused());
    }

    #[test]
    fn a_growth_that_failed_otherwise_counts_for_nothing() {
        let mut memory = memory(1000);
        assert!(!memory.memory_growing(0, 600, Some(500)).expect("it works"));
        assert!(memory.memory_growing(0, 900, None).expect("it works"));
        memory.memory_grow_failed(wasmtime::Error::msg("the machine has no more")).expect("it works");
        assert!(memory.memory_growing(0, 1000, None).expect("it works"));
        assert!(!memory.refused());
    }

    #[test]
    fn components_share_what_the_call_may_have() {
        let budget = Arc::new(Budget::new(1000));
        let (mut outer, mut inner) = (Memory::new(budget.clone()), Memory::new(budget.clone()));
        assert!(outer.memory_growing(0, 600, None).expect("it works"));
        assert!(!inner.memory_growing(0, 600, None).expect("it works"));
        assert!(inner.refused() && !outer.refused());
        assert!(inner.memory_growing(0, 400, None).expect("it works"));
        drop(inner);
        let mut held = Held::of(budget);
        assert!(held.grow(300) && !held.grow(300));
        assert!(!outer.memory_growing(600, 1000, None).expect("it works"));
        drop(held);
        assert!(outer.memory_growing(600, 1000, None).expect("it works"));
    }

    #[test]
    fn a_component_that_stays_brings_what_it_has_to_the_next_call() {
        let (first, small, large) =
            (Arc::new(Budget::new(1000)), Arc::new(Budget::new(500)), Arc::new(Budget::new(1000)));
        let mut memory = Memory::new(first.clone());
        assert!(memory.memory_growing(0, 600, None).expect("it works"));
        assert!(!memory.memory_growing(600, 1100, None).expect("it works"));
        memory.leave();
        assert!(Held::of(first).grow(1000));
        assert!(!memory.join(&small));
        assert!(memory.join(&large) && !memory.refused());
        assert!(!Held::of(large.clone()).grow(401));
        drop(memory);
        assert!(Held::of(large).grow(1000));
    }
}
