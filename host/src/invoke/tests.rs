//! The room with real guests: `mischief`, which does what handlers should not, and the café's `coffee`.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use std::{env, fs};

use bytes::Bytes;
use callgate_core::failure::Failure;
use callgate_core::limits::CallLimits;
use serde_json::Value;
use wasmparser::{Parser, Payload};

use super::*;

mod artifacts;
mod chains;
mod endings;
mod log;
mod neighbours;
mod outbound;
mod p3;
mod reused;
mod surroundings;

pub(super) const LIMITS: CallLimits = CallLimits {
    deadline: Duration::from_secs(20),
    patience: Duration::ZERO,
    max_cpu: Duration::from_secs(10),
    max_memory: 16 << 20,
    max_request_body: 1 << 20,
    max_response_body: 1 << 20,
    max_headers: 256,
    max_header_bytes: 64 << 10,
};

static WATCHDOG: LazyLock<Watchdog> = LazyLock::new(|| Watchdog::start().expect("a watchdog"));
static COFFEE: LazyLock<Arc<Callable>> = LazyLock::new(|| callable("coffee", guest("coffee-rust")));
static MISCHIEF: LazyLock<Arc<Callable>> = LazyLock::new(|| callable("mischief", guest("mischief")));
static COFFEE_P3: LazyLock<Arc<Callable>> = LazyLock::new(|| callable("coffee", guest("coffee-rust-p3")));
static MISCHIEF_P3: LazyLock<Arc<Callable>> = LazyLock::new(|| callable("mischief", guest("mischief-p3")));

fn settings() -> Settings {
    Settings { slots: 128, warm_memory: 1 << 30, idle_memory: 64 << 20, max_memory: 256 << 20 }
}

/// One cache for all tests and runs.
fn compiler() -> Compiler {
    let user = rustix::process::geteuid().as_raw();
    compiler_at(env::temp_dir().join(format!("callgate-tests-{user}")))
}

fn compiler_at(folder: PathBuf) -> Compiler {
    Compiler::new(&CacheSettings { folder, key: None }, CompileIn::ThisProcess).expect("a cache")
}

fn guest(name: &str) -> Arc<Artifact> {
    Arc::new(compiler().load(&component(name)).expect("a handler"))
}

/// The same component, but that it begins with 4 MiB of memory.
fn enlarged(name: &str) -> Arc<Artifact> {
    let mut bytes = component(name);
    let memories: Vec<_> = Parser::new(0)
        .parse_all(&bytes)
        .filter_map(|payload| match payload.expect("a component") {
            Payload::MemorySection(section) => Some(section.range()),
            _ => None,
        })
        .collect();
    let [memory] = &memories[..] else { panic!("one memory, not {memories:?}") };
    // How many memories, whether there is a maximum, and how many pages of 64 KiB there are at first: a byte each, as long
    // as that is below 128.
    let [1, 0, pages @ 1..64] = &mut bytes[memory.clone()] else { panic!("another memory than was expected") };
    *pages = 64;
    Arc::new(compiler().load(&bytes).expect("a handler"))
}

fn component(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../guest-examples/out/{name}.wasm"));
    fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; `make -C guest-examples rust` builds it", path.display()))
}

fn callable(handler: &str, artifact: Arc<Artifact>) -> Arc<Callable> {
    chain(handler, vec![Link { name: handler.into(), artifact }], 1)
}

fn chain(handler: &str, chain: Vec<Link>, max_next_calls: u32) -> Arc<Callable> {
    Arc::new(Callable {
        tenant: "acme".into(),
        handler: handler.into(),
        chain,
        max_next_calls,
        env: vec![("LOG_LEVEL".to_owned(), Secret::new("debug"))],
        log: Arc::new(LogBudget::new(64 << 10)),
        outbound: Arc::new(Outbound::closed()),
        reuse: Reuse::default(),
    })
}

fn invoker() -> Rc<Invoker> {
    invoker_with(settings().slots)
}

fn invoker_with(slots: u32) -> Rc<Invoker> {
    Rc::new(Invoker::new(&Settings { slots, ..settings() }, &WATCHDOG).expect("an invoker"))
}

/// Runs a test as a worker would.
fn on_a_worker<T>(test: impl Future<Output = T>) -> T {
    runtime().expect("a runtime").block_on(test)
}

fn get(path: &str) -> http::Request<Bytes> {
    post(path, "")
}

fn post(path: &str, body: impl Into<Bytes>) -> http::Request<Bytes> {
    http::Request::post(format!("http://mischief{path}")).body(body.into()).expect("a request")
}

fn order() -> http::Request<Bytes> {
    http::Request::post("http://coffee/orders/17").body(r#"{"drink":"flat white"}"#.into()).expect("a request")
}

/// What mischief answers, as JSON.
async fn ask(path: &str) -> Value {
    ask_of(&MISCHIEF, path).await
}

async fn ask_of(mischief: &Arc<Callable>, path: &str) -> Value {
    let response = invoker().call(mischief, get(path), &LIMITS).await.expect("a response");
    serde_json::from_slice(response.body()).expect("JSON")
}

/// How a call of mischief fails.
async fn failure(invoker: &Invoker, path: &str, limits: &CallLimits) -> Failure {
    failure_of(&MISCHIEF, invoker, path, limits).await
}

async fn failure_of(mischief: &Arc<Callable>, invoker: &Invoker, path: &str, limits: &CallLimits) -> Failure {
    match invoker.call(mischief, get(path), limits).await {
        Err(CallError::Failed(failure)) => failure,
        other => panic!("{path} ended with {other:?}"),
    }
}
