//! The bare call: a record is made a request and one component called with it, in a loop, every limit on, a fresh
//! instance each time, no Kafka.
//!
//!     cargo bench --profile dev --bench bare_call -- [COMPONENT] [--bytes N] [--seconds N] [--threads N] [--in-flight N]
//!                                                    [--reuse N] [--json]
//!
//! Prints calls per second and CPU per call for 1 thread and for 2, or for `--threads`, each with `--in-flight` calls
//! side by side. `--reuse`: so many calls of an instance. Without a component, the café's handler of `guest-examples` is
//! called. The profile `dev` builds all dependencies optimised; without it, everything is built once more for a release.

mod support {
    pub(crate) mod calls;
    pub(crate) mod order;
    pub(crate) mod record;
}

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate::config::Secret;
use callgate::invoke::{
    self, Attempts, CacheSettings, Callable, CompileIn, Compiler, Invoker, Link, LogBudget, Outbound, Reuse, Settings,
    Watchdog,
};
use callgate_core::limits::CallLimits;
use callgate_core::request::{RequestScope, to_request};
use callgate_core::route::Instances;
use mimalloc::MiMalloc;
use support::calls::{self, Arguments, Figures, measured};
use support::record::{DEADLINE, REQUEST_LIMITS, record, route};

/// The host's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// A tenant's, as they are when the operator sets none.
const LIMITS: CallLimits = CallLimits {
    deadline: DEADLINE,
    patience: Duration::ZERO,
    max_cpu: Duration::from_secs(1),
    max_memory: 64 << 20,
    max_request_body: 4 << 20,
    max_response_body: 4 << 20,
    max_headers: 256,
    max_header_bytes: 64 << 10,
};

fn main() -> ExitCode {
    calls::main(|arguments| {
        if arguments.pagemap_scan {
            return Err("the host has no scan of pages: bare_wasmtime has".into());
        }
        let settings = Settings { slots: 128, warm_memory: 1 << 30, idle_memory: 64 << 20, max_memory: 4 << 30 };
        let cache = Arc::new(tempfile::tempdir()?);
        let callable = Arc::new(callable(arguments, cache.path())?);
        let watchdog = Watchdog::start()?;
        Ok(move |arguments: &Arguments| {
            let _kept_until_the_end = &cache;
            work(arguments, &settings, &watchdog, &callable)
        })
    })
}

fn callable(arguments: &Arguments, folder: &Path) -> Result<Callable, Box<dyn Error>> {
    let cache = CacheSettings { folder: folder.join("code"), key: None };
    let component = fs::read(&arguments.component)?;
    let began = Instant::now();
    let artifact = Arc::new(Compiler::new(&cache, CompileIn::ThisProcess)?.load(&component)?);
    if !arguments.json {
        println!("{}: {} bytes, compiled in {:.2?}", arguments.component, component.len(), began.elapsed());
    }
    Ok(Callable {
        tenant: "bench".into(),
        handler: "coffee".into(),
        chain: vec![Link { name: "coffee".into(), artifact }],
        max_next_calls: 0,
        env: vec![("LOG_LEVEL".to_owned(), Secret::new("info"))],
        log: Arc::new(LogBudget::new(64 << 10)),
        outbound: Arc::new(Outbound::closed()),
        reuse: Reuse::default(),
    })
}

/// One worker.
fn work(arguments: &Arguments, settings: &Settings, watchdog: &Watchdog, callable: &Arc<Callable>) -> Figures {
    let runtime = invoke::runtime().expect("a runtime");
    let invoker = Rc::new(Invoker::new(settings, watchdog).expect("an invoker"));
    let callable = callable.clone();
    let (record, route) = (record(arguments.bytes), route());
    let instances = match arguments.reuse {
        1 => Instances::Fresh,
        records => Instances::Reuse { records },
    };
    measured(arguments, &runtime, move || {
        let (invoker, callable) = (invoker.clone(), callable.clone());
        let scope = RequestScope { handler: "coffee", attempt: 1, limits: &REQUEST_LIMITS, span: Some([7; 8]) };
        let request = to_request(&record, &route, &scope).expect("a request");
        async move {
            let called = invoker.call_in(&callable, request, &LIMITS, instances, &mut Attempts::default()).await;
            let response = called.expect("a response");
            assert!(response.status().is_success(), "{response:?}");
        }
    })
}
