//! A worker's side of the room: it calls handlers.

use std::cell::{Cell, OnceCell};
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use callgate_core::limits::CallLimits;
use callgate_core::route::Instances;
use http::{Request, Response};
use wasmtime::Store;

use super::chain::Chain;
use super::guest::{Guest, Part};
use super::idle::{Idle, Used};
use super::instance::Instance;
use super::memory::Budget;
use super::meter::{Meter, Metered, Overrun};
use super::next::Next;
use super::outbound::Outgoing;
use super::profile::Profile;
use super::reuse::Attempts;
use super::sandbox::Sandbox;
use super::trial::TrialError;
use super::waits::Waits;
use super::watchdog::{Watch, Watchdog};
use super::{CallError, Callable, HostError, Settings, outcome};

/// Calls components on one worker thread, each in the sandbox of its profile.
pub struct Invoker {
    p2: Sandbox,
    /// Made on first use: a host without such components pays nothing for them.
    others: [(Profile, OnceCell<Sandbox>); 3],
    settings: Settings,
    watch: Watch,
    waits: Arc<Waits>,
    /// Calls have the thread for themselves.
    has_thread: bool,
    /// How many of the slots are taken.
    taken: Cell<usize>,
    idle: Idle,
}

impl Invoker {
    /// An invoker for one worker thread.
    ///
    /// # Errors
    ///
    /// Where the machine refuses the address space for `slots` calls at once.
    pub fn new(settings: &Settings, watchdog: &Watchdog) -> Result<Self, HostError> {
        let p2 = Sandbox::new(Profile::P2, settings)
            .map_err(|error| HostError::new("wasmtime cannot be set up for a worker", format!("{error:#}")))?;
        let watch = watchdog.watch(p2.engine());
        Ok(Self {
            p2,
            others: [Profile::P2Large, Profile::P3, Profile::P3Large].map(|profile| (profile, OnceCell::new())),
            settings: settings.clone(),
            watch,
            waits: Arc::default(),
            has_thread: false,
            taken: Cell::new(0),
            idle: Idle::new(settings.idle_memory),
        })
    }

    /// One call at a time, and the thread does nothing else: then whatever time it does not get, others on the machine have.
    pub(super) fn on_its_own_thread(self) -> Self {
        Self { has_thread: true, ..self }
    }

    fn meter(&self, limits: &CallLimits) -> Arc<Meter> {
        let start = if self.has_thread { Meter::start_on_its_thread } else { Meter::start };
        Arc::new(start(limits, self.waits.clone()))
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
        self.call_in(callable, request, limits, Instances::Fresh, &mut Attempts::default()).await
    }

    /// The same in such instances as the route asks for, as far as earlier `attempts` for the same record allow.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call).
    pub async fn call_in(
        &self,
        callable: &Arc<Callable>,
        request: Request<Bytes>,
        limits: &CallLimits,
        instances: Instances,
        attempts: &mut Attempts,
    ) -> Result<Response<Bytes>, CallError> {
        // For the whole chain at once: calls that each waited for a slot further in would wait for one another.
        let _slots = self.take_slots(callable.chain.len())?;
        let _ongoing = self.watch.begin_call();
        // What cannot be loaded is known before the outermost component has done anything.
        for link in &callable.chain[1..] {
            self.sandbox(link.artifact.profile())?.component(&link.artifact)?;
        }
        let meter = self.meter(limits);
        let chain = Chain::new(self, callable, limits, meter.clone(), attempts.choose(callable, instances));
        let call = pin!(chain.call(request));
        // Outside tokio's own idea of fairness: under it a channel with data may say that it has none, and a body would
        // seem unfinished. Long calls give way at the watchdog's ticks.
        let ended = tokio::task::unconstrained(Metered::new(call, meter, &self.watch)).await;
        let ended = ended.unwrap_or_else(|overrun| Err(chain.overrun(overrun)));
        if !matches!(ended, Err(CallError::Overload(_))) {
            attempts.ended(callable, chain.reused.get(), ended.is_ok());
        }
        ended
    }

    /// Lets go all instances that wait to be used again: their memory is wanted.
    pub fn evict_idle(&self) {
        self.idle.clear();
    }

    /// Bytes of memory that those have.
    pub fn idle_memory(&self) -> usize {
        self.idle.bytes()
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
        let sandbox = self.sandbox(artifact.profile())?;
        let component = sandbox.component(artifact)?;
        let part = Part {
            callable: chain.callable.clone(),
            outgoing: Outgoing::of_call(chain.callable, request.headers()),
            next,
            meter: chain.meter.clone(),
            budget: chain.budget.clone(),
        };
        let mut used = self.instance(chain, position, part, sandbox);
        used.calls += 1;
        match used.instance.call(&component, request, chain.limits).await {
            Ok(response) => {
                let response = response?;
                // Whatever made it fail may still be there the next time.
                if used.calls < chain.choice.records && !response.status().is_server_error() {
                    self.keep(chain, position, used);
                }
                Ok(response)
            }
            Err(error) => Err(outcome::error(&error, used.instance.store.data().memory(), chain.limits)),
        }
    }

    /// An instance for one component of a chain: one that has served before, where that is wanted, else a fresh one.
    fn instance(&self, chain: &Chain<'_>, position: usize, mut part: Part, sandbox: &Sandbox) -> Used {
        if chain.choice.take
            && let Some(mut used) = self.idle.take(chain.callable, position)
            && used.calls < chain.choice.records
        {
            match Guest::join(&mut used.instance.store, part) {
                Ok(()) => {
                    chain.reused.set(true);
                    return used;
                }
                Err(back) => part = *back,
            }
        }
        let store = sandbox.store(Guest::new(position, chain.limits, part));
        Used { instance: Instance::new(store), calls: 0 }
    }

    fn keep(&self, chain: &Chain<'_>, position: usize, used: Used) {
        self.idle.keep(chain.callable, position, used);
        // It is in nobody's slot now, and those that are taken must have theirs.
        self.make_room(0);
    }

    /// Makes an instance of each component of a chain, all of them there at once, as in a call; and drops them. A fault is
    /// that of the component at the position that comes with it.
    pub(super) async fn instantiate(
        &self,
        callable: &Arc<Callable>,
        limits: &CallLimits,
    ) -> Result<(), (usize, TrialError)> {
        let _slots = self.take_slots(callable.chain.len()).map_err(|error| (0, TrialError::not_now(&error)))?;
        let _ongoing = self.watch.begin_call();
        let meter = self.meter(limits);
        let budget = Arc::new(Budget::new(limits.max_memory));
        let mut stores = Vec::new();
        for position in 0..callable.chain.len() {
            let part = Part {
                callable: callable.clone(),
                outgoing: Outgoing::closed(),
                next: None,
                meter: meter.clone(),
                budget: budget.clone(),
            };
            let tried = self.try_component(position, limits, part).await;
            stores.push(tried.map_err(|error| (position, error))?);
        }
        Ok(())
    }

    async fn try_component(
        &self,
        position: usize,
        limits: &CallLimits,
        part: Part,
    ) -> Result<Store<Guest>, TrialError> {
        let artifact = &part.callable.chain[position].artifact;
        let sandbox = self.sandbox(artifact.profile()).map_err(|error| TrialError::not_now(&error))?;
        let engine = sandbox.engine();
        let loaded = sandbox.load(artifact).map_err(|error| TrialError::of_load(&error))?;
        let component = sandbox.link(&loaded).map_err(|error| TrialError::of_link(&error, engine, &loaded))?;
        let meter = part.meter.clone();
        let mut store = sandbox.store(Guest::new(position, limits, part));
        let ended = {
            let instance = pin!(component.instantiate(&mut store));
            tokio::task::unconstrained(Metered::new(instance, meter, &self.watch)).await
        };
        match ended.map(|instance| instance.map_err(|error| (error.downcast_ref::<Overrun>().copied(), error))) {
            Ok(Ok(_)) => Ok(store),
            Err(overrun) | Ok(Err((Some(overrun), _))) => Err(TrialError::of_overrun(overrun, limits)),
            Ok(Err((None, error))) if outcome::is_of_guest(&error, store.data().memory()) => {
                Err(TrialError::of_start(&outcome::error(&error, store.data().memory(), limits)))
            }
            Ok(Err((None, error))) => Err(TrialError::of_link(&error, engine, &loaded)),
        }
    }

    fn sandbox(&self, profile: Profile) -> Result<&Sandbox, CallError> {
        let Some((_, sandbox)) = self.others.iter().find(|(its, _)| *its == profile) else {
            return Ok(&self.p2);
        };
        if let Some(sandbox) = sandbox.get() {
            return Ok(sandbox);
        }
        let made = Sandbox::new(profile, &self.settings)
            .map_err(|error| CallError::Overload(format!("wasmtime cannot be set up for {profile}: {error:#}")))?;
        self.watch.engine(made.engine());
        Ok(sandbox.get_or_init(|| made))
    }

    /// Whether there is a sandbox for that profile.
    #[cfg(test)]
    pub(super) fn is_set_up_for(&self, profile: Profile) -> bool {
        self.others.iter().all(|(its, sandbox)| *its != profile || sandbox.get().is_some())
    }

    fn take_slots(&self, wanted: usize) -> Result<Slots<'_>, CallError> {
        if !self.make_room(wanted) {
            let slots = self.settings.slots;
            return Err(CallError::Overload(format!("{wanted} of this worker's {slots} slots are not free")));
        }
        self.taken.set(self.taken.get() + wanted);
        Ok(Slots { taken: &self.taken, count: wanted })
    }

    /// Whether there is room for so many instances more; those that wait give way.
    fn make_room(&self, wanted: usize) -> bool {
        while self.taken.get() + wanted + self.idle.len() > self.settings.slots as usize {
            if !self.idle.let_go() {
                return false;
            }
        }
        true
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
