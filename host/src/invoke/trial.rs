//! A new version is tried before any record meets it: can its components be loaded, linked and instantiated?
//!
//! That runs code of a stranger, namely start functions, so it has the limits of a call, and a thread that no record
//! waits for.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use callgate_core::limits::CallLimits;

use wasmtime::Engine;
use wasmtime::component::Component;

use super::meter::Overrun;
use super::outcome::{plain, sentence};
use super::{CallError, Callable, HostError, Invoker, Settings, Watchdog, imports, outcome, runtime};

/// What starts takes milliseconds. Other versions wait for this one, and so does a host that stops.
const DEADLINE: Duration = Duration::from_secs(3);
/// And where the machine is so busy that it hardly gets to compute, so long on top.
pub(super) const PATIENCE: Duration = Duration::from_secs(9);

/// What versions are tried in: an invoker and a runtime for a thread that is no worker.
pub struct Trial {
    pub(super) invoker: Invoker,
    pub(super) runtime: tokio::runtime::LocalRuntime,
}

/// Why a version cannot run.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// One of its components fails before it is called. A sentence.
    #[error("{0}")]
    Refused(String),
    /// The host lacks something. Another attempt may find it.
    #[error("the component cannot be tried now: {0}")]
    NotNow(String),
}

impl Trial {
    /// For the thread that makes it. `settings` are those of the workers: what fits here fits there.
    ///
    /// # Errors
    ///
    /// Where the machine refuses the address space, or a runtime.
    pub fn new(settings: &Settings, watchdog: &Watchdog) -> Result<Self, HostError> {
        let runtime = runtime().map_err(|error| HostError::new("a runtime cannot be set up for trials", error))?;
        Ok(Self { invoker: Invoker::new(settings, watchdog)?.on_its_own_thread(), runtime })
    }

    /// Makes an instance of each component of the version and drops them, within the limits of a call. Nothing is called.
    ///
    /// # Errors
    ///
    /// Where the last one needs another behind it, one cannot be loaded or linked, its start function traps or takes too
    /// long, or all of them want more memory than a call may have; with the position of that one in the chain.
    pub fn instantiate(&self, callable: &Arc<Callable>, limits: &CallLimits) -> Result<(), (usize, TrialError)> {
        if let Some(last) = callable.chain.last() {
            let position = callable.chain.len() - 1;
            last.artifact.is_handler().map_err(|reason| (position, TrialError::Refused(reason.to_string())))?;
        }
        let limits = CallLimits { deadline: limits.deadline.min(DEADLINE), patience: PATIENCE, ..*limits };
        self.runtime.block_on(self.invoker.instantiate(callable, &limits))
    }
}

impl TrialError {
    /// Whether another attempt with the same components would fail the same way.
    pub fn is_fault_of_component(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    pub(super) fn not_now(error: &CallError) -> Self {
        Self::NotNow(error.to_string())
    }

    /// Of a component that was to be instantiated.
    pub(super) fn of_start(error: &CallError) -> Self {
        match error {
            CallError::Failed(failure) => Self::Refused(format!("the component does not start: {}", failure.message)),
            CallError::Overload(_) => Self::not_now(error),
        }
    }

    /// Of one that took too long.
    pub(super) fn of_overrun(overrun: Overrun, limits: &CallLimits) -> Self {
        match overrun {
            Overrun::Deadline => Self::Refused(format!(
                "the component does not start: it has not within {} s",
                limits.deadline.as_secs()
            )),
            Overrun::Cpu | Overrun::Waited(_) => Self::of_start(&outcome::overrun(overrun, limits)),
        }
    }

    /// Of a component that does not find what it imports, or does not export what is called.
    pub(super) fn of_link(error: &wasmtime::Error, engine: &Engine, component: &Component) -> Self {
        Self::Refused(match imports::missing(engine, component) {
            Some(missing) => format!("the component imports what the host does not have: {missing}"),
            None => match mismatch(error) {
                Some((import, reason)) => format!("the host's `{import}` is not what the component imports: {reason}"),
                None => format!("the component does not fit the host: {}", plain(&format!("{error:#}"))),
            },
        })
    }

    /// Of a component that cannot be loaded.
    pub(super) fn of_load(error: &wasmtime::Error) -> Self {
        let reason = sentence(error);
        match error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()) {
            Some(_) => Self::NotNow(reason),
            None => Self::Refused(format!("the component does not fit the host: {reason}")),
        }
    }
}

/// Which import has another type than the host's, and in what.
fn mismatch(error: &wasmtime::Error) -> Option<(String, String)> {
    let mut chain = error.chain().map(ToString::to_string);
    let import = chain.next()?.strip_prefix("component imports ")?.split('`').nth(1)?.to_owned();
    Some((import, chain.collect::<Vec<_>>().join(": ")))
}
