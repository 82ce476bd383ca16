//! The bare call: a record is made a request and one component called with it, in a loop, every limit on, a fresh
//! instance each time, no Kafka.
//!
//!     cargo bench --profile dev --bench bare_call -- [COMPONENT] [--seconds N] [--threads N] [--in-flight N] [--json]
//!
//! Prints calls per second and CPU per call for 1 thread and for 2, or for `--threads`, each with `--in-flight` calls
//! side by side. Without a component, the café's handler of `guest-examples` is called. The profile `dev` builds all
//! dependencies optimised; without it, everything is built once more for a release.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use callgate::config::Secret;
use callgate::invoke::{
    self, CacheSettings, Callable, CompileIn, Compiler, Invoker, Link, LogBudget, Outbound, Reuse, Settings, Watchdog,
};
use callgate_core::limits::{CallLimits, RequestLimits};
use callgate_core::order::Ordering;
use callgate_core::record::{Coordinate, Header, Record, Timestamp, TimestampKind};
use callgate_core::request::{RequestScope, to_request};
use callgate_core::retry::RetryPolicy;
use callgate_core::route::{Binding, ClientErrors, Instances, Operation, Route, WithoutReplyTo};
use mimalloc::MiMalloc;
use rustix::time::{ClockId, clock_gettime};

/// The host's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const COFFEE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-examples/out/coffee-rust.wasm");

/// A tenant's, as they are when the operator sets none.
const REQUEST_LIMITS: RequestLimits = RequestLimits { max_headers: 256, max_header_bytes: 64 << 10, max_body: 4 << 20 };
const LIMITS: CallLimits = CallLimits {
    deadline: Duration::from_secs(5),
    patience: Duration::ZERO,
    max_cpu: Duration::from_secs(1),
    max_memory: 64 << 20,
    max_request_body: 4 << 20,
    max_response_body: 4 << 20,
    max_headers: 256,
    max_header_bytes: 64 << 10,
};

struct Arguments {
    component: String,
    seconds: f64,
    threads: Option<usize>,
    in_flight: usize,
    json: bool,
}

fn main() -> ExitCode {
    let result = arguments().and_then(|arguments| run(&arguments).map_err(|error| error.to_string()));
    if let Err(error) = result {
        eprintln!("bare_call: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn arguments() -> Result<Arguments, String> {
    let mut parsed = Arguments { component: COFFEE.to_owned(), seconds: 3.0, threads: None, in_flight: 1, json: false };
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|value| value.parse::<f64>().ok());
        match argument.as_str() {
            // `cargo bench` says so by itself.
            "--bench" => {}
            "--seconds" => parsed.seconds = number().ok_or("--seconds wants a number")?,
            "--threads" => parsed.threads = Some(number().ok_or("--threads wants a number")? as usize),
            "--json" => parsed.json = true,
            "--in-flight" => parsed.in_flight = number().ok_or("--in-flight wants a number")? as usize,
            _ => parsed.component = argument,
        }
    }
    Ok(parsed)
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let cache = tempfile::tempdir()?;
    let cache = CacheSettings { folder: cache.path().join("code"), key: None };
    let settings = Settings { slots: 128, warm_memory: 1 << 30, idle_memory: 64 << 20, max_memory: 4 << 30 };
    let component = fs::read(&arguments.component).map_err(|error| format!("{}: {error}", arguments.component))?;
    let began = Instant::now();
    let artifact = Arc::new(Compiler::new(&cache, CompileIn::ThisProcess)?.load(&component)?);
    if !arguments.json {
        println!("{}: {} bytes, compiled in {:.2?}", arguments.component, component.len(), began.elapsed());
    }
    let callable = Arc::new(Callable {
        tenant: "bench".into(),
        handler: "coffee".into(),
        chain: vec![Link { name: "coffee".into(), artifact }],
        max_next_calls: 0,
        env: vec![("LOG_LEVEL".to_owned(), Secret::new("info"))],
        log: Arc::new(LogBudget::new(64 << 10)),
        outbound: Arc::new(Outbound::closed()),
        reuse: Reuse::default(),
    });
    let watchdog = Watchdog::start()?;

    for threads in arguments.threads.map_or_else(|| vec![1, 2], |threads| vec![threads]) {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let (settings, callable, watchdog) = (settings.clone(), callable.clone(), watchdog.clone());
                let (seconds, in_flight) = (arguments.seconds, arguments.in_flight);
                thread::spawn(move || {
                    work(&settings, &watchdog, &callable, Duration::from_secs_f64(seconds), in_flight)
                })
            })
            .collect();
        let (mut calls, mut rate, mut cpu) = (0, 0.0, Duration::ZERO);
        for worker in workers {
            let figures = worker.join().map_err(|_| "a worker panicked")?;
            calls += figures.calls;
            rate += figures.calls as f64 / figures.wall.as_secs_f64();
            cpu += figures.cpu;
        }
        let cpu = cpu.as_secs_f64() * 1e6 / calls as f64;
        if arguments.json {
            println!(r#"{{"threads":{threads},"calls_per_second":{rate:.0},"cpu_microseconds":{cpu:.2}}}"#);
        } else {
            println!("{threads} thread(s): {rate:>8.0} calls/s, {cpu:>7.1} µs CPU a call");
        }
    }
    Ok(())
}

struct Figures {
    calls: u64,
    wall: Duration,
    cpu: Duration,
}

/// One worker: warms up for a tenth of the time, then counts.
fn work(
    settings: &Settings,
    watchdog: &Watchdog,
    callable: &Arc<Callable>,
    time: Duration,
    in_flight: usize,
) -> Figures {
    let runtime = invoke::runtime().expect("a runtime");
    let invoker = Rc::new(Invoker::new(settings, watchdog).expect("an invoker"));
    let (record, route) = (Rc::new(record()), Rc::new(route()));
    let measure = |time: Duration| {
        let (began, cpu) = (Instant::now(), thread_cpu_time());
        let end = began + time;
        let tasks: Vec<_> = (0..in_flight)
            .map(|_| {
                let (invoker, callable) = (invoker.clone(), callable.clone());
                let (record, route) = (record.clone(), route.clone());
                runtime.spawn_local(async move {
                    let mut calls = 0;
                    while Instant::now() < end {
                        let scope =
                            RequestScope { handler: "coffee", attempt: 1, limits: &REQUEST_LIMITS, span: Some([7; 8]) };
                        let request = to_request(&record, &route, &scope).expect("a request");
                        let response = invoker.call(&callable, request, &LIMITS).await.expect("a response");
                        assert!(response.status().is_success(), "{response:?}");
                        calls += 1;
                    }
                    calls
                })
            })
            .collect();
        let calls = runtime.block_on(async {
            let mut calls = 0;
            for task in tasks {
                calls += task.await.expect("a task");
            }
            calls
        });
        Figures { calls, wall: began.elapsed(), cpu: thread_cpu_time() - cpu }
    };
    measure(time / 10);
    measure(time)
}

/// The record of `tests/bench.py`: an order of 1 KiB, with a return address.
fn record() -> Record {
    let order = r#"{"drink":"flat white","size":"large","notes":""}"#;
    let notes = "one sugar, no lid, and a glass of water please; ".repeat(22);
    let order = order.replace(r#"s":""#, &format!(r#"s":"{}"#, &notes[..1024 - order.len()]));
    Record {
        coordinate: Coordinate { topic: "cafe.coffee".into(), partition: 3, offset: 123_456 },
        timestamp: Some(Timestamp { millis: 1_700_000_000_000, kind: TimestampKind::CreateTime }),
        key: Some("table-17".into()),
        value: Some(order.into()),
        headers: vec![
            Header::new("content-type", "application/json"),
            Header::new("reply-to", "cafe.replies"),
            Header::new("correlation-id", "5f0c3a527c0b4f3e9a1d0d3b1b1c2a10"),
        ],
    }
}

fn route() -> Route {
    let bindings = BTreeMap::from([("table".to_owned(), Binding::Key)]);
    Route {
        operation: Operation::parse("POST /tables/{table}/orders", &bindings).expect("an operation"),
        tombstone: None,
        query: Vec::new(),
        reply_to: None,
        without_reply_to: WithoutReplyTo::Call,
        client_errors: ClientErrors::DeadLetter,
        ordering: Ordering::Partition,
        max_in_flight: 32,
        deadline: LIMITS.deadline,
        retry: RetryPolicy { attempts: 3, backoff: Duration::from_millis(200), max_backoff: Duration::from_secs(30) },
        circuit_breaker: None,
        instances: Instances::Fresh,
    }
}

fn thread_cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
