//! A worker's side of the room: it calls handlers.

use std::cell::OnceCell;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use callgate_core::limits::CallLimits;

use super::exports::Wasi;
use super::guest::Guest;
use super::meter::{Meter, Metered};
use super::sandbox::{Component, Sandbox};
use super::turns::Turns;
use super::watchdog::Watchdog;
use super::{CallError, Callable, HostError, Settings, call_p2, call_p3, outcome};

/// Calls components on one worker thread, each in the sandbox of its version of WASI.
pub struct Invoker {
    p2: Sandbox,
    /// Made on first use: a host without handlers of WASI 0.3 pays nothing for it.
    p3: OnceCell<Sandbox>,
    settings: Settings,
    watchdog: Watchdog,
    turns: Arc<Turns>,
}

impl Invoker {
    /// An invoker for one worker thread.
    ///
    /// # Errors
    ///
    /// Where the machine refuses the address space for `slots` calls at once.
    pub fn new(settings: &Settings, watchdog: &Watchdog) -> Result<Self, HostError> {
        let p2 = Sandbox::new(Wasi::P2, settings, watchdog)
            .map_err(|error| HostError::new("wasmtime cannot be set up for a worker", format!("{error:#}")))?;
        let (settings, watchdog, turns) = (settings.clone(), watchdog.clone(), Arc::default());
        Ok(Self { p2, p3: OnceCell::new(), settings, watchdog, turns })
    }

    /// Calls a handler with one request, in a fresh instance. The request's URI names scheme, authority and path.
    ///
    /// The call ends when the guest has returned, and in WASI 0.3 when all that it has spawned is done as well: a trap
    /// after a complete response is a trap, and so is an `exit` with a status other than 0; `exit(0)` is no response,
    /// whatever was set before. Dropping the future ends the call at once and gives back all that it holds.
    ///
    /// # Errors
    ///
    /// [`CallError::Failed`] where the guest failed or exceeded a limit, [`CallError::Overload`] where the host could
    /// not take the call.
    pub async fn call(
        &self,
        callable: &Arc<Callable>,
        request: http::Request<Bytes>,
        limits: &CallLimits,
    ) -> Result<http::Response<Bytes>, CallError> {
        let slots = self.settings.slots;
        if self.calls() >= slots as usize {
            return Err(CallError::Overload(format!("all {slots} slots of this worker are taken")));
        }
        let sandbox = self.sandbox(callable.artifact.wasi())?;
        let _ongoing = sandbox.watch().begin_call();
        let component = sandbox
            .component(&callable.artifact)
            .map_err(|error| CallError::Overload(format!("the component cannot be loaded: {error:#}")))?;
        let meter = Arc::new(Meter::start(limits, self.turns.clone()));
        let mut store = Guest::store(sandbox.engine(), callable, limits, meter.clone());

        let ended = {
            let call = pin!(async {
                match &component {
                    Component::P2(component) => call_p2::call(&mut store, component, request, limits).await,
                    // On the heap, for it is large, and every call would have room for it.
                    Component::P3(component) => Box::pin(call_p3::call(&mut store, component, request, limits)).await,
                }
            });
            // Outside tokio's own idea of fairness: under it a channel with data may say that it has none, and the
            // body would seem unfinished. Long calls give way at the watchdog's ticks.
            tokio::task::unconstrained(Metered::new(call, meter, sandbox.watch())).await
        };
        match ended {
            Ok(Ok(response)) => Ok(response?),
            Ok(Err(error)) => Err(outcome::error(&error, store.data().memory(), limits)),
            Err(overrun) => Err(outcome::overrun(overrun, limits)),
        }
    }

    /// Whether its sandbox for that version of WASI has been made.
    #[cfg(test)]
    pub(super) fn is_set_up_for(&self, wasi: Wasi) -> bool {
        wasi == Wasi::P2 || self.p3.get().is_some()
    }

    /// Calls that are going on.
    fn calls(&self) -> usize {
        self.p2.watch().calls() + self.p3.get().map_or(0, |p3| p3.watch().calls())
    }

    fn sandbox(&self, wasi: Wasi) -> Result<&Sandbox, CallError> {
        if wasi == Wasi::P2 {
            return Ok(&self.p2);
        }
        if let Some(p3) = self.p3.get() {
            return Ok(p3);
        }
        let p3 = Sandbox::new(Wasi::P3, &self.settings, &self.watchdog)
            .map_err(|error| CallError::Overload(format!("wasmtime cannot be set up for WASI 0.3: {error:#}")))?;
        Ok(self.p3.get_or_init(|| p3))
    }
}
