//! A worker's side of the room: loads artifacts when they are first called, and calls them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use callgate_core::limits::CallLimits;
use wasmtime::component::Linker;
use wasmtime::{Engine, Store};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;

use super::artifact::Artifact;
use super::body::{self, Collector, Outparam};
use super::guest::Guest;
use super::meter::{Meter, Metered};
use super::turns::Turns;
use super::watchdog::{Watch, Watchdog};
use super::{CallError, Callable, HostError, Settings, engine, load, outcome};

/// Artifacts that a worker keeps loaded: each costs a file descriptor and three mappings. Beyond, the one that was not
/// called for the longest time is let go.
const LOADED: usize = 256;

/// Calls components on one worker thread.
///
/// It has an engine of its own: workers share the pages of compiled code, and nothing else.
pub struct Invoker {
    engine: Engine,
    linker: Linker<Guest>,
    loaded: RefCell<Loaded>,
    watch: Watch,
    turns: Arc<Turns>,
    slots: usize,
}

#[derive(Default)]
struct Loaded {
    artifacts: HashMap<Arc<str>, (ProxyPre<Guest>, u64)>,
    uses: u64,
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
            turns: Arc::default(),
            slots: settings.slots as usize,
        })
    }

    /// Calls a handler with one request, in a fresh instance. The request's URI names scheme, authority and path.
    ///
    /// The call ends when the guest has returned: a trap after a complete response is a trap, and so is an `exit` with
    /// a status other than 0; `exit(0)` is no response, whatever was set before. Dropping the future ends the call at
    /// once and gives back all that it holds.
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
        if self.watch.calls() >= self.slots {
            return Err(CallError::Overload(format!("all {} slots of this worker are taken", self.slots)));
        }
        let _ongoing = self.watch.begin_call();
        let component = self.component(&callable.artifact)?;
        let meter = Arc::new(Meter::start(limits, self.turns.clone()));
        let mut store = Guest::store(&self.engine, callable, request.headers(), limits, meter.clone());
        let outparam = Outparam::default();
        let mut response = Collector::new(outparam.clone(), limits);

        let ended = {
            let mut guest = pin!(run(&mut store, &component, request, outparam));
            let call = pin!(poll_fn(|context| match guest.as_mut().poll(context) {
                Poll::Ready(returned) => Poll::Ready(returned.map(|()| response.finish())),
                Poll::Pending => match response.take() {
                    Ok(()) => Poll::Pending,
                    Err(failure) => Poll::Ready(Ok(Err(failure))),
                },
            }));
            // Outside tokio's own idea of fairness: under it a channel with data may say that it has none, and the
            // body would seem unfinished. Long calls give way at the watchdog's ticks.
            tokio::task::unconstrained(Metered::new(call, meter, &self.watch)).await
        };
        match ended {
            Ok(Ok(response)) => Ok(response?),
            Ok(Err(error)) => Err(outcome::error(&error, store.data().memory(), limits)),
            Err(overrun) => Err(outcome::overrun(overrun, limits)),
        }
    }

    fn component(&self, artifact: &Artifact) -> Result<ProxyPre<Guest>, CallError> {
        let mut loaded = self.loaded.borrow_mut();
        loaded.uses += 1;
        let uses = loaded.uses;
        if let Some((component, last_use)) = loaded.artifacts.get_mut(artifact.digest()) {
            *last_use = uses;
            return Ok(component.clone());
        }
        let component = load::load(&self.engine, artifact)
            .and_then(|component| self.linker.instantiate_pre(&component))
            .and_then(ProxyPre::new)
            .map_err(|error| CallError::Overload(format!("the component cannot be loaded: {error:#}")))?;
        if loaded.artifacts.len() >= LOADED
            && let Some(oldest) = loaded.artifacts.iter().min_by_key(|(_, (_, last_use))| *last_use)
        {
            let oldest = oldest.0.clone();
            loaded.artifacts.remove(&oldest);
        }
        loaded.artifacts.insert(artifact.digest().clone(), (component.clone(), uses));
        Ok(component)
    }
}

/// All that runs the guest's code: its start functions, and the handler.
async fn run(
    store: &mut Store<Guest>,
    component: &ProxyPre<Guest>,
    request: http::Request<Bytes>,
    outparam: Outparam,
) -> wasmtime::Result<()> {
    let proxy = component.instantiate_async(&mut *store).await?;
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(Scheme::Http, request.map(body::request))?;
    let out = http.new_response_outparam_from_callback(move |answer| outparam.set(answer))?;
    proxy.wasi_http_incoming_handler().call_handle(store, request, out).await
}
