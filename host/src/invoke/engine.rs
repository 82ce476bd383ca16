//! How wasmtime is set up. What a fresh instance costs is decided here, so every setting has its reason; the figures
//! are calls per second of one thread, a guest in Rust that parses 1 KiB of JSON.

use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig, WasmBacktraceDetails};

use super::Settings;
use super::exports::Wasi;
use super::profile::Profile;

/// Bytes of address space for one linear memory: all that a 32-bit memory can grow to. A constant, since it is part of
/// compiled code; what a call really gets is decided by its limits.
const MEMORY_RESERVATION: u64 = 4 << 30;

/// Core modules in one component. Python's has 14.
const CORE_INSTANCES: u32 = 32;

/// Linear memories in one component. Those of all languages so far have 1 or 2.
const MEMORIES: u32 = 4;

/// Tables in one component, and the room for each: componentize-py links 14 modules around one table of some thousand
/// functions, every adapter adds a small one.
const TABLES: u32 = 32;
const TABLE_ELEMENTS: usize = 20_000;

/// What lies behind the memory of a component that relies on signals: so much of an offset is not checked.
const GUARD: u64 = 32 << 20;

/// What the tables of an instance that is not in use keep at most.
const WARM_TABLES: usize = TABLE_ELEMENTS * size_of::<usize>();

/// Stacks for one call. A guest of WASI 0.2 runs on one. In WASI 0.3 a guest that waits in a blocking call keeps its
/// stack while the host goes on with another task of the same call; a component that was composed of several may do so
/// in each of them.
const STACKS_P2: u32 = 1;
const STACKS_P3: u32 = 4;

/// Frames of a trap's backtrace.
const BACKTRACE_FRAMES: usize = 20;

/// An engine to compile with: it has no pool, and its code fits the engines of [`running`].
///
/// `parallel`: it may use all cores. Its code is the same then.
pub(super) fn compiling(profile: Profile, parallel: bool) -> wasmtime::Result<Engine> {
    Engine::new(config(profile).parallel_compilation(parallel))
}

/// A worker's engine. One a worker: a shared one makes the workers contend for its locks.
pub(super) fn running(settings: &Settings, profile: Profile) -> wasmtime::Result<Engine> {
    let mut config = config(profile);
    config.allocation_strategy(pool(settings, profile));
    Engine::new(&config)
}

/// What compiled code depends on. A change here invalidates the cache by itself: it is part of the key.
fn config(profile: Profile) -> Config {
    let mut config = Config::new();
    config
        // Tasks, streams and futures are what WASI 0.3 is made of. WASI 0.2 needs none of it, and every store would pay
        // for it (13.2k to 16.7k together with the pool).
        .concurrency_support(profile.wasi() == Wasi::P3)
        // Guests are interrupted by the watchdog's ticks.
        .epoch_interruption(true)
        // With explicit bounds checks, no guard pages and no signal handler, a slot's memory needs no mprotect when it
        // is used again (26.3k to 39.8k, and 20.7k to 66k on two threads: mprotect holds a lock of the whole process).
        // Where a call takes a hundred times as long, that is little, and the checks are what costs.
        .signals_based_traps(profile.is_large())
        .memory_guard_size(if profile.is_large() { GUARD } else { 0 })
        .memory_reservation(MEMORY_RESERVATION)
        // Only exceptions and debuggers need it, and every load would register it.
        .native_unwind_info(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(BACKTRACE_FRAMES));
    config
}

/// The pool from which instances are taken: nothing is mapped or unmapped per call (16.7k to 26.3k).
fn pool(settings: &Settings, profile: Profile) -> PoolingAllocationConfig {
    let slots = settings.slots;
    let stacks = match profile.wasi() {
        Wasi::P2 => STACKS_P2,
        Wasi::P3 => STACKS_P3,
    };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(CORE_INSTANCES))
        .total_memories(slots.saturating_mul(MEMORIES))
        .total_tables(slots.saturating_mul(TABLES))
        .total_stacks(slots.saturating_mul(stacks))
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memories_per_module(MEMORIES)
        .max_tables_per_module(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(settings.max_memory)
        .max_unused_warm_slots(warm_slots(settings, profile))
        .linear_memory_keep_resident(profile.keep_resident())
        .table_keep_resident(WARM_TABLES)
        // A faster way to clear memory (30.0k instead of 20.3k with a stack of 1 MiB), but in this version it skips
        // dirty pages that are swapped out or being moved, so what one tenant wrote could reach another.
        .pagemap_scan(Enabled::No);
    pool
}

/// How many instances are kept warm: each profile has the same part of the memory for it.
fn warm_slots(settings: &Settings, profile: Profile) -> u32 {
    let affordable = settings.warm_memory / Profile::ALL.len() / (profile.keep_resident() + WARM_TABLES);
    u32::try_from(affordable).unwrap_or(u32::MAX).clamp(1, settings.slots)
}
