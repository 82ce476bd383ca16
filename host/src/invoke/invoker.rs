//! A worker's side of the room: loads artifacts when they are first called, and calls them.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use callgate_core::limits::CallLimits;
use http::{Request, Response};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use super::artifact::Artifact;
use super::chain::Chain;
use super::guest::Guest;
use super::loaded::Loaded;
use super::memory::{Budget, Memory};
use super::meter::{Meter, Metered, Overrun};
use super::next::Next;
use super::trial::TrialError;
use super::waits::Waits;
use super::watchdog::{Watch, Watchdog};
use super::{CallError, Callable, HostError, Settings, call_p2, engine, load, outcome};

/// Calls components on one worker thread.
///
/// It has an engine of its own: workers share the pages of compiled code, and nothing else.
pub struct Invoker {
    engine: Engine,
    linker: Linker<Guest>,
    loaded: RefCell<Loaded<ProxyPre<Guest>>>,
    watch: Watch,
    waits: Arc<Waits>,
    slots: usize,
    taken: Cell<usize>,
}

impl Invoker {
    /// An invoker for one worker thread.
    ///
    /// # Errors
    ///
    /// Where the machine refuses the address space for `slots` calls at once.
    pub fn new(settings: &Settings, watchdog: &Watchdog) -> Result<Self, HostError> {
        let fault = |error| HostError::new("wasmtime cannot be set up for a worker", format!("{error:#}"));
        let engine = engine::running(settings).map_err(fault)?;
        let linker = Guest::linker(&engine).map_err(fault)?;
        let watch = watchdog.watch(&engine);
        Ok(Self {
            engine,
            linker,
            loaded: RefCell::default(),
            watch,
            waits: Arc::default(),
            slots: settings.slots as usize,
            taken: Cell::new(0),
        })
    }

    /// Where to say how long a call has waited for its turn.
    pub fn waits(&self) -> &Arc<Waits> {
        &self.waits
    }

    /// Calls a handler with one request, each component of its chain in a fresh instance. The request's URI names scheme,
    /// authority and path.
    ///
    /// The call ends when the guests have returned: a trap after a complete response is a trap, and so is an `exit` with
    /// a status other than 0; `exit(0)` is no response, whatever was set before. Dropping the future ends the call at
    /// once and gives back all that it holds.
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
            self.component(&link.artifact)?;
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
        let component = self.component(&chain.callable.chain[position].artifact)?;
        let memory = Memory::new(chain.budget.clone());
        let guest = Guest::new(chain.callable, chain.limits, chain.meter.clone(), memory, next);
        let mut store = guest.into_store(&self.engine);
        match call_p2::call(&mut store, &component, request, chain.limits).await {
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
            let loaded = load::load(&self.engine, &link.artifact).map_err(|error| TrialError::of_load(&error))?;
            let component = self.link(&loaded).map_err(|error| TrialError::of_link(&error, &self.engine, &loaded))?;
            let memory = Memory::new(budget.clone());
            let mut store = Guest::new(callable, limits, meter.clone(), memory, None).into_store(&self.engine);
            let ended = {
                let instance = pin!(component.instantiate_async(&mut store));
                tokio::task::unconstrained(Metered::new(instance, meter.clone(), &self.watch)).await
            };
            match ended.map(|instance| instance.map_err(|error| (error.downcast_ref::<Overrun>().copied(), error))) {
                Ok(Ok(_)) => stores.push(store),
                Err(overrun) | Ok(Err((Some(overrun), _))) => return Err(TrialError::of_overrun(overrun, limits)),
                Ok(Err((None, error))) if outcome::is_of_guest(&error, store.data().memory()) => {
                    return Err(TrialError::of_start(&outcome::error(&error, store.data().memory(), limits)));
                }
                Ok(Err((None, error))) => return Err(TrialError::of_link(&error, &self.engine, &loaded)),
            }
        }
        Ok(())
    }

    fn component(&self, artifact: &Artifact) -> Result<ProxyPre<Guest>, CallError> {
        self.loaded.borrow_mut().get(artifact.digest(), || {
            load::load(&self.engine, artifact)
                .and_then(|component| self.link(&component))
                .map_err(|error| CallError::Overload(format!("the component cannot be loaded: {error:#}")))
        })
    }

    fn link(&self, component: &Component) -> wasmtime::Result<ProxyPre<Guest>> {
        ProxyPre::new(self.linker.instantiate_pre(component)?)
    }

    fn take_slots(&self, wanted: usize) -> Result<Slots<'_>, CallError> {
        let taken = self.taken.get() + wanted;
        if taken > self.slots {
            let message = format!("{wanted} of this worker's {} slots are not free", self.slots);
            return Err(CallError::Overload(message));
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
