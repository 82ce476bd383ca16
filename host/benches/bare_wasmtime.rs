//! The bare call without limits: as `bare_call`, but by wasmtime alone. The same engine and pool, and no interruption, no
//! limit of memory, of handles, of headers or of output. What the limits cost is what `bare_call` costs more.
//!
//!     cargo bench --bench bare_wasmtime -- [COMPONENT] [--bytes N] [--seconds N] [--threads N] [--in-flight N] [--json]
//!                                        [--pagemap-scan]
//!
//! A middleware's request to the component that it wraps is answered at once, by a coffee from the host: what a call of
//! it costs by itself.
//!
//! `--pagemap-scan`: only what the guest has written is cleared afterwards. Before wasmtime 50 that is not safe: pages
//! that are swapped out or being moved are passed over, and the next instance finds in them what another one wrote. The
//! host does without.

mod support {
    pub(crate) mod calls;
    pub(crate) mod order;
    pub(crate) mod record;
}

use std::fs;
use std::process::ExitCode;
use std::rc::Rc;

use bytes::Bytes;
use callgate_core::request::{RequestScope, to_request};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use mimalloc::MiMalloc;
use support::calls::{self, Arguments, Figures, measured};
use support::record::{REQUEST_LIMITS, record, route};
use tokio::sync::oneshot;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

/// The host's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const COFFEE: &str = r#"{"drink":"flat white","size":"large","extras":[],"ordered_at":"/","order_bytes":1024}"#;

fn main() -> ExitCode {
    calls::main(|arguments| {
        if arguments.reuse != 1 {
            return Err("it has no reuse".into());
        }
        let component = fs::read(&arguments.component)?;
        Ok(move |arguments: &Arguments| work(arguments, &component).expect("a component that can be called"))
    })
}

/// One thread, with an engine of its own, as the host's workers have.
fn work(arguments: &Arguments, component: &[u8]) -> wasmtime::Result<Figures> {
    let engine = Engine::new(&config(arguments.pagemap_scan))?;
    let mut linker = Linker::<Guest>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    let component = Rc::new(ProxyPre::new(linker.instantiate_pre(&Component::new(&engine, component)?)?)?);
    let runtime = callgate::invoke::runtime()?;
    let (record, route) = (record(arguments.bytes), route());
    Ok(measured(arguments, &runtime, move || {
        let scope = RequestScope { handler: "coffee", attempt: 1, limits: &REQUEST_LIMITS, span: Some([7; 8]) };
        let request = to_request(&record, &route, &scope).expect("a request");
        let (engine, component) = (engine.clone(), component.clone());
        async move {
            let called = tokio::task::unconstrained(call(&engine, &component, request)).await;
            let response = called.expect("a response");
            assert!(response.status().is_success(), "{response:?}");
        }
    }))
}

/// Those of the host (`invoke/engine.rs`) that have to do with speed, and none of those that have to do with limits.
fn config(pagemap_scan: bool) -> Config {
    const KEEP_RESIDENT: usize = 2 << 20;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_memories(512)
        .max_memory_size(4 << 30)
        .max_unused_warm_slots(128)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .pagemap_scan(if pagemap_scan { Enabled::Yes } else { Enabled::No });
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .signals_based_traps(false)
        .memory_guard_size(0)
        .memory_reservation(4 << 30)
        .native_unwind_info(false)
        .allocation_strategy(pool);
    config
}

async fn call(
    engine: &Engine,
    component: &ProxyPre<Guest>,
    request: Request<Bytes>,
) -> wasmtime::Result<Response<Bytes>> {
    let mut store = Store::new(engine, Guest::default());
    let guest = component.instantiate_async(&mut store).await?;
    let (answer, answered) = oneshot::channel();
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(Scheme::Http, request.map(Full::new))?;
    let out = http.new_response_outparam(answer)?;
    let response = async {
        let (head, body) = answered.await??.into_parts();
        wasmtime::error::Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    };
    let (returned, response) =
        futures::join!(guest.wasi_http_incoming_handler().call_handle(&mut store, request, out), response);
    returned.and(response)
}

/// A store's data.
#[derive(Default)]
struct Guest {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    hooks: AnswerAtOnce,
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

#[derive(Default)]
struct AnswerAtOnce;

type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl WasiHttpHooks for AnswerAtOnce {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async move {
            // The guest writes it until somebody has read it. What is wrong with it, the guest will say.
            let _ = request.into_body().collect().await;
            let body = Full::new(Bytes::from_static(COFFEE.as_bytes())).map_err(|never| match never {}).boxed_unsync();
            let response = Response::builder().status(201).body(body).expect("a response");
            let nothing_left: Box<dyn Future<Output = _> + Send> = Box::new(async { Ok(()) });
            Ok((response, nothing_left))
        })
    }
}
