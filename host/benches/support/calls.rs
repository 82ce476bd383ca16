//! Calls in a loop: arguments, threads, and what is printed of them.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, thread};

use futures::future::try_join_all;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::LocalRuntime;

const COFFEE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-examples/out/coffee-rust.wasm");

/// What is to be called, and how much.
pub(crate) struct Arguments {
    /// A file.
    pub(crate) component: String,
    /// Of the record's value.
    pub(crate) bytes: usize,
    /// How long each thread calls.
    pub(crate) time: Duration,
    /// How many call at once; each of these in turn.
    pub(crate) threads: Vec<usize>,
    /// Calls side by side on each thread.
    pub(crate) in_flight: usize,
    /// How many records an instance serves.
    pub(crate) reuse: u32,
    /// Have dirty pages looked up instead of clearing memory: the host never does.
    pub(crate) pagemap_scan: bool,
    /// Print for programs.
    pub(crate) json: bool,
}

/// What one thread has done.
pub(crate) struct Figures {
    pub(crate) calls: u64,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Arguments {
    fn parse() -> Result<Self, String> {
        let mut parsed = Self {
            component: COFFEE.to_owned(),
            bytes: 1024,
            time: Duration::from_secs(3),
            threads: vec![1, 2],
            in_flight: 1,
            reuse: 1,
            pagemap_scan: false,
            json: false,
        };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().and_then(|value| value.parse::<f64>().ok());
                value.ok_or_else(|| format!("{argument} wants a number"))
            };
            match argument.as_str() {
                // `cargo bench` says so by itself.
                "--bench" => {}
                "--bytes" => parsed.bytes = number()? as usize,
                "--seconds" => parsed.time = Duration::from_secs_f64(number()?),
                "--threads" => parsed.threads = vec![number()? as usize],
                "--in-flight" => parsed.in_flight = number()? as usize,
                "--reuse" => parsed.reuse = number()? as u32,
                "--pagemap-scan" => parsed.pagemap_scan = true,
                "--json" => parsed.json = true,
                _ => parsed.component = argument,
            }
        }
        Ok(parsed)
    }
}

/// The whole program: `prepare` makes of the arguments what each thread does.
pub(crate) fn main<W, P>(prepare: P) -> ExitCode
where
    P: FnOnce(&Arguments) -> Result<W, Box<dyn Error>>,
    W: Fn(&Arguments) -> Figures + Clone + Send + 'static,
{
    let done = Arguments::parse().and_then(|arguments| {
        let work = prepare(&arguments).map_err(|error| format!("{}: {error}", arguments.component))?;
        run(arguments, work)
    });
    if let Err(error) = done {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run<W: Fn(&Arguments) -> Figures + Clone + Send + 'static>(arguments: Arguments, work: W) -> Result<(), String> {
    let arguments = Arc::new(arguments);
    for &threads in &arguments.threads {
        let threads_at_work: Vec<_> = (0..threads)
            .map(|_| {
                let (arguments, work) = (arguments.clone(), work.clone());
                thread::spawn(move || work(&arguments))
            })
            .collect();
        let (mut calls, mut rate, mut cpu) = (0, 0.0, Duration::ZERO);
        for thread in threads_at_work {
            let figures = thread.join().map_err(|_| "a thread panicked")?;
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

/// Calls on this thread, again and again: a tenth of the time to warm up, then what counts.
pub(crate) fn measured<F, C>(arguments: &Arguments, runtime: &LocalRuntime, call: F) -> Figures
where
    F: Fn() -> C + Clone + 'static,
    C: Future<Output = ()> + 'static,
{
    let measure = |time: Duration| {
        let (began, cpu) = (Instant::now(), thread_cpu_time());
        let end = began + time;
        let side_by_side: Vec<_> = (0..arguments.in_flight)
            .map(|_| {
                let call = call.clone();
                runtime.spawn_local(async move {
                    let mut calls = 0;
                    while Instant::now() < end {
                        call().await;
                        calls += 1;
                    }
                    calls
                })
            })
            .collect();
        let calls = runtime.block_on(try_join_all(side_by_side)).expect("no call panics").iter().sum();
        Figures { calls, wall: began.elapsed(), cpu: thread_cpu_time() - cpu }
    };
    measure(arguments.time / 10);
    measure(arguments.time)
}

fn thread_cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
