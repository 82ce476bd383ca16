//! A worker's side of the room: it calls handlers.

use std::cell::{Cell, OnceCell};
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use callgate_core::limits::CallLimits;
use http::{Request, Response};

use super::chain::Chain;
use super::exports::Wasi;
use super::guest::Guest;
use super::memory::{Budget, Memory};
use super::meter::{Meter, Metered, Overrun};
use super::next::Next;
use super::outbound::Outgoing;
use super::sandbox::{Linked, Sandbox};
use super::trial::TrialError;
use super::waits::Waits;
use super::watchdog::{Watch, Watchdog};
use super::{CallError, Callable, HostError, Settings, call_p2, call_p3, outcome};

/// Calls components on one worker thread, each in the sandbox of its version of WASI.
pub struct Invoker {
    p2: Sandbox,
    /// Made on first use: a host without components of WASI 0.3 pays nothing for it.
    p3: OnceCell<Sandbox>,
    settings: Settings,
    watch: Watch,
    waits: Arc<Waits>,
    /// How many of the slots are taken.
    taken: Cell<usize>,
}

impl Invoker {
    /// An invoker for one worker thread.
    ///
    /// # Errors
    ///
    /// Where the machine refuses the address space for `slots` calls at once.
    pub fn new(settings: &Settings, watchdog: &Watchdog) -> Result<Self, HostError> {
        let p2 = Sandbox::new(Wasi::P2, settings)
            .map_err(|error| HostError::new("wasmtime cannot be set up for a worker", format!("{error:#}")))?;
        let watch = watchdog.watch(p2.engine());
        let (settings, waits, taken) = (settings.clone(), Arc::default(), Cell::new(0));
        Ok(Self { p2, p3: OnceCell::new(), settings, watch, waits, taken })
    }

    /// Where to say how long a call has waited for its turn.
    pub fn waits(&self) -> &Arc<Waits> {
        &self.waits
    }

    /// Calls a handler with one request, each component of its chain in a fresh instance. The request's URI names scheme,
    /// authority and path.
    ///
    /// The call ends when the guests have returned, and those of WASI 0.3 have done all that they have spawned: a trap
    /// after a complete response is a trap, and so is an `exit` with a status other than 0; `exit(0)` is no response,
    /// whatever was set before. Dropping the future ends the call at once and gives back all that it holds.
    ///
    /// # Errors
    ///
    /// [`CallError::Failed`] where a guest failed or exceeded a limit, [`CallError::Overload`] where the host could
    /// not take the call.
    pub async fn call(
        &self,
        callable: &Arc<Callable>,
        request: Request<Bytes>,
        limits: &CallLimits,
    ) -> Result<Response<Bytes>, CallError> {
        // For the whole chain at once: calls that each waited for a slot further in would wait for one another.
        let _slots = self.take_slots(callable.chain.len())?;
        let _ongoing = self.watch.begin_call();
        for link in &callable.chain {
            self.sandbox(link.artifact.wasi())?.component(&link.artifact)?;
        }
        let meter = Arc::new(Meter::start(limits, self.waits.clone()));
        let chain = Chain::new(self, callable, limits, meter.clone());
        let call = pin!(chain.call(request));
        // Outside tokio's own idea of fairness: under it a channel with data may say that it has none, and a body would
        // seem unfinished. Long calls give way at the watchdog's ticks.
        let ended = tokio::task::unconstrained(Metered::new(call, meter, &self.watch)).await;
        ended.unwrap_or_else(|overrun| Err(chain.overrun(overrun)))
    }

    /// Calls one component of a chain.
    pub(super) async fn call_component(
        &self,
        chain: &Chain<'_>,
        position: usize,
        request: Request<Bytes>,
        next: Option<Next>,
    ) -> Result<Response<Bytes>, CallError> {
        let artifact = &chain.callable.chain[position].artifact;
        let sandbox = self.sandbox(artifact.wasi())?;
        let component = sandbox.component(artifact)?;
        let memory = Memory::new(chain.budget.clone());
        let outgoing = Outgoing::of_call(chain.callable, request.headers());
        let guest = Guest::new(chain.callable, outgoing, chain.limits, chain.meter.clone(), memory, next);
        let mut store = guest.into_store(sandbox.engine());
        let called = match &component {
            Linked::P2(component) => call_p2::call(&mut store, component, request, chain.limits).await,
            // On the heap, for it is large, and every call would have room for it.
            Linked::P3(component) => Box::pin(call_p3::call(&mut store, component, request, chain.limits)).await,
        };
        match called {
            Ok(response) => Ok(response?),
            Err(error) => Err(outcome::error(&error, store.data().memory(), chain.limits)),
        }
    }

    /// Makes an instance of each component of a chain, all of them there at once, as in a call; and drops them.
    pub(super) async fn instantiate(&self, callable: &Arc<Callable>, limits: &CallLimits) -> Result<(), TrialError> {
        let not_now = |error: CallError| TrialError::NotNow(error.to_string());
        let _slots = self.take_slots(callable.chain.len()).map_err(not_now)?;
        let _ongoing = self.watch.begin_call();
        let meter = Arc::new(Meter::start(limits, self.waits.clone()));
        let budget = Arc::new(Budget::new(limits.max_memory));
        let mut stores = Vec::new();
        for link in &callable.chain {
            let sandbox = self.sandbox(link.artifact.wasi()).map_err(not_now)?;
            let engine = sandbox.engine();
            let loaded = sandbox.load(&link.artifact).map_err(|error| TrialError::of_load(&error))?;
            let component = sandbox.link(&loaded).map_err(|error| TrialError::of_link(&error, engine, &loaded))?;
            let memory = Memory::new(budget.clone());
            let guest = Guest::new(callable, Outgoing::closed(), limits, meter.clone(), memory, None);
            let mut store = guest.into_store(engine);
            let ended = {
                let instance = pin!(component.instantiate(&mut store));
                tokio::task::unconstrained(Metered::new(instance, meter.clone(), &self.watch)).await
            };
            match ended.map(|instance| instance.map_err(|error| (error.downcast_ref::<Overrun>().copied(), error))) {
                Ok(Ok(())) => stores.push(store),
                Err(overrun) | Ok(Err((Some(overrun), _))) => return Err(TrialError::of_overrun(overrun, limits)),
                Ok(Err((None, error))) if outcome::is_of_guest(&error, store.data().memory()) => {
                    return Err(TrialError::of_start(&outcome::error(&error, store.data().memory(), limits)));
                }
                Ok(Err((None, error))) => return Err(TrialError::of_link(&error, engine, &loaded)),
            }
        }
        Ok(())
    }

    fn sandbox(&self, wasi: Wasi) -> Result<&Sandbox, CallError> {
        if wasi == Wasi::P2 {
            return Ok(&self.p2);
        }
        if let Some(p3) = self.p3.get() {
            return Ok(p3);
        }
        let p3 = Sandbox::new(Wasi::P3, &self.settings)
            .map_err(|error| CallError::Overload(format!("wasmtime cannot be set up for WASI 0.3: {error:#}")))?;
        self.watch.engine(p3.engine());
        Ok(self.p3.get_or_init(|| p3))
    }

    /// Whether there is a sandbox for that version of WASI.
    #[cfg(test)]
    pub(super) fn is_set_up_for(&self, wasi: Wasi) -> bool {
        wasi == Wasi::P2 || self.p3.get().is_some()
    }

    fn take_slots(&self, wanted: usize) -> Result<Slots<'_>, CallError> {
        let (taken, slots) = (self.taken.get() + wanted, self.settings.slots as usize);
        if taken > slots {
            return Err(CallError::Overload(format!("{wanted} of this worker's {slots} slots are not free")));
        }
        self.taken.set(taken);
        Ok(Slots { taken: &self.taken, count: wanted })
    }
}

/// Room for instances, given back when it is dropped.
struct Slots<'a> {
    taken: &'a Cell<usize>,
    count: usize,
}

impl Drop for Slots<'_> {
    fn drop(&mut self) {
        self.taken.set(self.taken.get() - self.count);
    }
}
