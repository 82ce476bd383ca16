//! The memory of one call: all linear memories and tables together.

use wasmtime::ResourceLimiter;

/// Counts what the guest has, and refuses what is over the limit.
///
/// A refused `memory.grow` is not yet a failure: some guests go on without. But a guest that traps afterwards did so
/// for want of memory, so it is remembered.
#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    used: usize,
    last_growth: usize,
    refused: bool,
}

impl Memory {
    /// A budget of so many bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, used: 0, last_growth: 0, refused: false }
    }

    /// Whether the guest has asked for more than it may have.
    pub(super) fn refused(&self) -> bool {
        self.refused
    }

    fn grow(&mut self, growth: usize, possible: bool) -> bool {
        if growth > self.limit - self.used {
            self.refused = true;
            return false;
        }
        if possible {
            self.used += growth;
            self.last_growth = growth;
        }
        possible
    }

    fn take_back(&mut self) {
        self.used -= std::mem::take(&mut self.last_growth);
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

    #[test]
    fn all_memories_and_tables_count_together() {
        let mut memory = Memory::new(1000);
        assert!(memory.memory_growing(0, 600, None).expect("it works"));
        assert!(memory.table_growing(0, 50, None).expect("it works"));
        assert!(!memory.refused());
        assert!(!memory.memory_growing(0, 1, None).expect("it works"));
        assert!(memory.refused());
    }

    #[test]
    fn a_growth_that_failed_otherwise_counts_for_nothing() {
        let mut memory = Memory::new(1000);
        assert!(!memory.memory_growing(0, 600, Some(500)).expect("it works"));
        assert!(memory.memory_growing(0, 900, None).expect("it works"));
        memory.memory_grow_failed(wasmtime::Error::msg("the machine has no more")).expect("it works");
        assert!(memory.memory_growing(0, 1000, None).expect("it works"));
        assert!(!memory.refused());
    }
}
