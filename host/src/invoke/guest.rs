//! What a guest finds around it: all of WASI, every capability off.

use std::sync::Arc;

use callgate_core::chain::is_next;
use callgate_core::limits::CallLimits;
use http::HeaderName;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

use super::exports::Wasi;
use super::guest_log::{GuestLog, Stream};
use super::memory::{Budget, Memory};
use super::meter::Meter;
use super::next::Next;
use super::outbound::{Outgoing, Sending};
use super::{Callable, wrapped};

/// Resources of the host that a guest may hold at once: streams, header lists, pollables. Each may cost the host memory
/// of its own, header lists most. Some hundred requests at once need as many; each call reserves memory for all.
const RESOURCES: usize = 256;

/// Handles in the guest's tables, its own resources included.
const HANDLES: usize = 10_000;

/// The same in WASI 0.3, where a handle is also a task, a stream or a future, for each of which the host keeps up to so many
/// bytes.
const P3_HANDLES: usize = 2_000;
const P3_HANDLE_BYTES: usize = 1 << 10;

/// Bytes that one call from the guest to the host may carry.
const HOST_CALL_BYTES: usize = 2 << 20;

/// Bytes of one request for random numbers: they are made on the worker's thread.
const RANDOM_BYTES: u64 = 1 << 20;

/// Bytes that the host buffers for a body which a guest writes: so many chunks of such a size. A guest that writes on
/// gives way until they are taken.
const BODY_CHUNKS: usize = 7;
const BODY_CHUNK_BYTES: usize = 16 << 10;

/// The same in WASI 0.3, where two chunks are buffered at most.
const P3_BODY_CHUNK_BYTES: usize = 64 << 10;

/// Ticks until a guest is looked at: two, so that one whole tick has passed at least. Most calls end before.
const FIRST_TICK: u64 = 2;

/// A store's data: the state of one component.
pub(super) struct Guest {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    hooks: Hooks,
    memory: Memory,
    meter: Arc<Meter>,
    log: [GuestLog; 2],
}

/// What a component is given for its part in one call.
pub(super) struct Part {
    pub(super) callable: Arc<Callable>,
    /// Its requests to the world outside.
    pub(super) outgoing: Outgoing,
    /// The way to the next component of the chain, if there is one.
    pub(super) next: Option<Next>,
    pub(super) meter: Arc<Meter>,
    pub(super) budget: Arc<Budget>,
}

impl Guest {
    /// The linker that all components of an engine are linked with. Those of WASI 0.3 find both versions: the standard
    /// libraries of their languages may well stand on WASI 0.2.
    pub(super) fn linker(engine: &Engine, wasi: Wasi) -> wasmtime::Result<Linker<Self>> {
        let mut linker = Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        if wasi == Wasi::P3 {
            wasmtime_wasi::p3::add_to_linker(&mut linker)?;
            wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
            wrapped::add_to_linker(&mut linker)?;
        }
        Ok(linker)
    }

    /// The component at that position of a chain, for a call.
    pub(super) fn new(position: usize, limits: &CallLimits, part: Part) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(field_size_limit(limits));
        let Part { callable, outgoing, next, meter, budget } = part;
        let log = [Stream::Stdout, Stream::Stderr].map(|stream| GuestLog::new(&callable, position, stream));
        let wasi = wasi(&callable, &log);
        let hooks = Hooks(Some(Requests { callable, outgoing, next }));
        Self { wasi, http, table, hooks, memory: Memory::new(budget), meter, log }
    }

    /// A store for it, with all its limits.
    pub(super) fn into_store(self, engine: &Engine, wasi: Wasi) -> Store<Self> {
        let mut store = Store::new(engine, self);
        store.limiter(|guest| &mut guest.memory);
        store.set_hostcall_fuel(HOST_CALL_BYTES);
        store.set_max_component_handles(match wasi {
            Wasi::P2 => HANDLES,
            Wasi::P3 => P3_HANDLES,
        });
        store.set_epoch_deadline(FIRST_TICK);
        store.epoch_deadline_callback(|store| Ok(store.data().meter.tick()?));
        store
    }

    /// The same component takes part in another call.
    ///
    /// # Errors
    ///
    /// Where that call may not have as much memory as the component has: what it was to be given.
    pub(super) fn join(store: &mut Store<Self>, part: Part) -> Result<(), Box<Part>> {
        let guest = store.data_mut();
        if !guest.memory.join(&part.budget) {
            return Err(Box::new(part));
        }
        let Part { callable, outgoing, next, meter, .. } = part;
        guest.hooks = Hooks(Some(Requests { callable, outgoing, next }));
        guest.meter = meter;
        store.set_epoch_deadline(FIRST_TICK);
        Ok(())
    }

    /// The call has ended, and the component stays.
    pub(super) fn leave(&mut self) {
        self.log.iter().for_each(GuestLog::end_line);
        self.hooks = Hooks(None);
        self.memory.leave();
    }

    /// The most bytes of the host's own memory that one can make it hold: header lists, the body that it writes, and in
    /// WASI 0.3 what stands behind its handles.
    pub(super) fn most_host_memory(limits: &CallLimits, wasi: Wasi) -> usize {
        let of_version = match wasi {
            Wasi::P2 => BODY_CHUNKS * BODY_CHUNK_BYTES,
            Wasi::P3 => 2 * P3_BODY_CHUNK_BYTES + P3_HANDLES * P3_HANDLE_BYTES,
        };
        RESOURCES * field_size_limit(limits) + limits.max_response_body + of_version
    }

    /// The memory that it has, and whether it wanted more.
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }
}

/// The clocks, random numbers, `[env]`, and the log. No arguments, no files, an empty stdin; sockets cannot even be made.
fn wasi(callable: &Callable, [stdout, stderr]: &[GuestLog; 2]) -> WasiCtx {
    let mut builder = WasiCtx::builder();
    for (name, value) in &callable.env {
        builder.env(name, value.expose());
    }
    builder
        .stdout(stdout.clone())
        .stderr(stderr.clone())
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(RANDOM_BYTES)
        .build()
}

/// wasmtime counts what headers take in memory, so names and values have some bytes on top of their own. A guest that
/// builds more than a response may have gets an error from the call that adds it.
fn field_size_limit(limits: &CallLimits) -> usize {
    const OVERHEAD: usize = size_of::<HeaderName>() + size_of::<http::HeaderValue>();
    limits.max_header_bytes + (limits.max_headers + 1) * OVERHEAD
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

/// Where outgoing requests go, while there is a call.
struct Hooks(Option<Requests>);

/// To the next component of the chain, or out.
struct Requests {
    callable: Arc<Callable>,
    outgoing: Outgoing,
    next: Option<Next>,
}

impl Requests {
    fn send(&mut self, request: http::Request<WasiBody>, options: Option<RequestOptions>) -> Sending {
        let sent = match &self.next {
            Some(next) if is_next(request.uri()) => next.send(request),
            // The name is refused there in every spelling.
            _ => return self.outgoing.send(&self.callable, request, options),
        };
        match sent {
            Ok(answer) => Box::new(async { Ok((answer.await?, nothing_left_to_do())) }),
            Err(error) => denied(error),
        }
    }
}

fn denied(error: Error) -> Sending {
    Box::new(async { Err(error) })
}

impl WasiHttpHooks for Hooks {
    // The default allocates for every header.
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Sending {
        match &mut self.0 {
            Some(requests) => requests.send(request, options),
            None => denied(Error::HttpRequestDenied),
        }
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        BODY_CHUNKS
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        P3_BODY_CHUNK_BYTES
    }
}

/// The rest of a request's work, of which none goes on in the background.
fn nothing_left_to_do() -> Box<dyn Future<Output = Result<(), Error>> + Send> {
    Box::new(async { Ok(()) })
}
