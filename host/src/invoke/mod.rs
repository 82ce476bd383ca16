//! The call: one HTTP request through one sandboxed component, within its limits. The only room with wasmtime.
//!
//! - [`Compiler`] turns the bytes of a component into an [`Artifact`]: checked, compiled once, cached on disk.
//! - [`Invoker`] is what a worker thread calls artifacts with. Every call gets a fresh store and instance, so nothing
//!   that one record leaves behind reaches another; unless the handler itself asks for one that has served before.
//! - [`Watchdog`] is the one thread that ends guests that compute or wait for too long. No guest runs on it.
//!
//! # A worker's runtime
//!
//! The future of a call is not `Send`: it stays with its worker, and many of them run there side by side. A guest that
//! computes gives way to its neighbours at every tick of the watchdog (about 1 ms); which of them is next is for whoever
//! polls the calls to say. A guest that waits is woken by the watchdog when its time is up. Such a wake comes from another
//! thread, and the timers that guests wait for are the runtime's. A runtime that looks at either only now and then, as
//! tokio's does by default, would serve them tens of ticks late while a guest computes, so [`runtime`] builds one that
//! looks often.

mod artifact;
mod body;
mod cache;
mod call_p2;
mod call_p3;
mod chain;
mod compiler;
mod engine;
mod exports;
mod guest;
mod guest_log;
mod idle;
mod imports;
mod instance;
mod invoker;
mod load;
mod loaded;
mod memory;
mod meter;
mod next;
mod outbound;
mod outcome;
mod probe;
mod profile;
mod reuse;
mod sandbox;
mod trial;
mod waits;
mod watchdog;
mod wrapped;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use callgate_core::failure::Failure;
use callgate_core::limits::CallLimits;

use crate::config::Secret;

pub use artifact::Artifact;
pub use cache::{CacheKey, CacheSettings};
pub use compiler::{CompileError, CompileIn, Compiler, Confines, compile_confined};
pub use exports::{Interface, NotAHandler, Wasi, check};
pub use guest_log::LogBudget;
pub use imports::{Import, Provision, imports};
pub use invoker::Invoker;
pub use outbound::{Network, Outbound, OutboundCount, OutboundLimits};
pub use probe::Probe;
pub use reuse::{Attempts, Reuse};
pub use trial::{Trial, TrialError};
pub use waits::Waits;
pub use watchdog::Watchdog;

/// Where the system lists the files that a process has open, by their numbers.
const DESCRIPTORS: &str = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };

/// What a worker's side needs to know beforehand.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Instances at once on one worker. Each reserves address space.
    pub slots: u32,
    /// Bytes of memory that those of one worker keep when they are not in use, for the next ones.
    pub warm_memory: usize,
    /// Bytes of memory that those of one worker have which wait to be used again.
    pub idle_memory: usize,
    /// Bytes of linear memory that no call gets more than, whatever its tenant allows; at most 4 GiB.
    pub max_memory: usize,
}

/// What the log is to leave out: a guest can make the implementation of its interfaces warn at will, and nothing bounds that.
/// What comes of a guest's requests is told by this room.
pub const LOG_DIRECTIVE: &str = "wasmtime_wasi_http=error";

/// One version of a handler, ready to be called.
#[derive(Debug)]
pub struct Callable {
    /// The tenant's name.
    pub tenant: Arc<str>,
    /// The handler's name.
    pub handler: Arc<str>,
    /// Its components, outermost first: the middleware, and last its own. At least that one.
    pub chain: Vec<Link>,
    /// How often each middleware may call on.
    pub max_next_calls: u32,
    /// All that the guest sees as its environment; it may hold secrets.
    pub env: Vec<(String, Secret)>,
    /// What the guest may write to stdout and stderr; shared by all handlers of the tenant.
    pub log: Arc<LogBudget>,
    /// Whom it may call; shared by all handlers of the tenant.
    pub outbound: Arc<Outbound>,
    /// How it takes to having its instances reused.
    pub reuse: Reuse,
}

impl Callable {
    /// The digest of the handler's own component, without the middleware around it.
    pub fn digest(&self) -> &Arc<str> {
        self.chain[self.chain.len() - 1].artifact.digest()
    }

    /// The most bytes that one call can make the host hold: what its guests have, and what the host keeps for each of
    /// them, with the bodies that they pass on.
    pub fn most_memory(&self, limits: &CallLimits) -> u64 {
        let passed_on = limits.max_request_body * (self.chain.len() - 1);
        let of_links = self.chain.iter().map(|link| guest::Guest::most_host_memory(limits, link.artifact.wasi()));
        (limits.max_memory + of_links.sum::<usize>() + passed_on) as u64
    }
}

/// One component of a chain.
#[derive(Clone, Debug)]
pub struct Link {
    /// The file's name, as failures name it.
    pub name: Arc<str>,
    /// The component.
    pub artifact: Arc<Artifact>,
}

/// Why a call gave no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The guest failed, or exceeded a limit. Counts as an attempt.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The host had no room for the call, or could not load the component. Not the guest's fault: to be tried again,
    /// and not counted.
    #[error("the host had no room for the call: {0}")]
    Overload(String),
}

/// A fault of the host itself: what it needs from the machine is missing.
#[derive(Debug, thiserror::Error)]
#[error("{context}: {reason}")]
pub struct HostError {
    context: String,
    reason: String,
}

impl HostError {
    pub(crate) fn new(context: impl Into<String>, reason: impl ToString) -> Self {
        Self { context: context.into(), reason: reason.to_string() }
    }
}

/// A runtime for a worker thread, see the [module's page](self).
///
/// # Errors
///
/// Where the operating system refuses a timer or a poller.
pub fn runtime() -> io::Result<tokio::runtime::LocalRuntime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Look at wakes from other threads before every task, and at timers and sockets after some: between two of
        // them a guest may have computed for a whole tick.
        .global_queue_interval(1)
        .event_interval(4)
        .build_local(tokio::runtime::LocalOptions::default())
}
