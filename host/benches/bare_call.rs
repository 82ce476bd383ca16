//! The bare call: one component called in a loop, every limit on, a fresh instance each time, no Kafka.
//!
//!     cargo bench --profile dev --bench bare_call -- [COMPONENT] [--seconds N] [--in-flight N]
//!
//! Prints calls per second and CPU per call for 1 thread and for 2, each with `--in-flight` calls side by side. Without
//! a component, the café's handler of `guest-examples` is called. The profile `dev` builds all dependencies optimised;
//! without it, everything is built once more for a release.

use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use bytes::Bytes;
use callgate::invoke::{self, Callable, Compiler, Invoker, LogBudget, Settings, Watchdog};
use callgate_core::limits::CallLimits;
use rustix::time::{ClockId, clock_gettime};

const COFFEE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-examples/out/coffee-rust.wasm");

const LIMITS: CallLimits = CallLimits {
    deadline: Duration::from_secs(5),
    max_cpu: Duration::from_secs(1),
    max_memory: 64 << 20,
    max_response_body: 4 << 20,
    max_headers: 256,
    max_header_bytes: 64 << 10,
};

struct Arguments {
    component: String,
    seconds: f64,
    in_flight: usize,
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
    let mut parsed = Arguments { component: COFFEE.to_owned(), seconds: 3.0, in_flight: 1 };
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|value| value.parse::<f64>().ok());
        match argument.as_str() {
            // `cargo bench` says so by itself.
            "--bench" => {}
            "--seconds" => parsed.seconds = number().ok_or("--seconds wants a number")?,
            "--in-flight" => parsed.in_flight = number().ok_or("--in-flight wants a number")? as usize,
            _ => parsed.component = argument,
        }
    }
    Ok(parsed)
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let cache = tempfile::tempdir()?;
    let settings = Settings { cache_dir: cache.path().join("code"), slots: 64, max_memory: 256 << 20 };
    let component = fs::read(&arguments.component).map_err(|error| format!("{}: {error}", arguments.component))?;
    let began = Instant::now();
    let artifact = Arc::new(Compiler::new(&settings)?.load(&component)?);
    println!("{}: {} bytes, compiled in {:.2?}", arguments.component, component.len(), began.elapsed());
    let callable = Arc::new(Callable {
        tenant: "bench".into(),
        handler: "coffee".into(),
        artifact,
        env: vec![("LOG_LEVEL".to_owned(), "info".to_owned())],
        log: Arc::new(LogBudget::new(64 << 10)),
    });
    let watchdog = Watchdog::start()?;

    for threads in [1, 2] {
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
        println!("{threads} thread(s): {rate:>8.0} calls/s, {cpu:>7.1} µs CPU a call");
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
    let measure = |time: Duration| {
        let (began, cpu) = (Instant::now(), thread_cpu_time());
        let end = began + time;
        let tasks: Vec<_> = (0..in_flight)
            .map(|_| {
                let (invoker, callable) = (invoker.clone(), callable.clone());
                runtime.spawn_local(async move {
                    let mut calls = 0;
                    while Instant::now() < end {
                        let response = invoker.call(&callable, request(), &LIMITS).await.expect("a response");
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

/// An order of about 1 KiB.
static ORDER: LazyLock<Bytes> = LazyLock::new(|| {
    let note = "one sugar, no lid, and a glass of water please; ".repeat(20);
    format!(r#"{{"drink":"flat white","size":"large","note":"{note}"}}"#).into()
});

/// A request with the headers that a record brings.
fn request() -> http::Request<Bytes> {
    http::Request::post("http://coffee/orders/17")
        .header("content-type", "application/json")
        .header("correlation-id", "5f0c3a52-7c0b-4f3e-9a1d-0d3b1b1c2a10")
        .header("reply-to", "cafe.coffee.replies")
        .header("x-kafka-topic", "cafe.coffee")
        .header("x-kafka-partition", "3")
        .header("x-kafka-offset", "123456")
        .header("x-kafka-timestamp", "1700000000000")
        .header("x-kafka-key", "table-17")
        .header("x-kafka-delivery-attempt", "1")
        .header("content-length", ORDER.len())
        .body(ORDER.clone())
        .expect("a request")
}

fn thread_cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
