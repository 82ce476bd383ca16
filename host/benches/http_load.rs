//! The load of an HTTP server: so many connections post orders, each one after another, as fast as they are answered or at a
//! steady rate.
//!
//!     cargo bench --bench http_load -- ADDRESS PATH [--connections N] [--bytes N] [--seconds N] [--rate N]
//!
//! Prints a line of JSON. The rate does not give way to a slow server, and a response is late from the moment at which its
//! request was due, so that no wait is left out.

mod support {
    pub(crate) mod http;
    pub(crate) mod order;
}

use std::cell::Cell;
use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::try_join_all;
use support::http::Connection;
use support::order::order;

struct Arguments {
    address: String,
    path: String,
    connections: usize,
    bytes: usize,
    time: Duration,
    /// Requests a second; without it, as many as are answered.
    rate: Option<f64>,
}

fn main() -> ExitCode {
    match arguments().map_err(Into::into).and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("http_load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    let (Some(address), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("wants ADDRESS PATH".to_owned());
    };
    let mut parsed =
        Arguments { address, path, connections: 64, bytes: 1024, time: Duration::from_secs(5), rate: None };
    while let Some(argument) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse::<f64>().ok());
        let number = value.ok_or_else(|| format!("{argument} wants a number"))?;
        match argument.as_str() {
            "--connections" => parsed.connections = number as usize,
            "--bytes" => parsed.bytes = number as usize,
            "--seconds" => parsed.time = Duration::from_secs_f64(number),
            "--rate" => parsed.rate = Some(number),
            _ => return Err(format!("there is no {argument}")),
        }
    }
    Ok(parsed)
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())?;
    let (mut late, wall) = runtime.block_on(load(arguments))?;
    late.sort_unstable();
    let quantile = |share: f64| {
        let index = (late.len() as f64 * share) as usize;
        late.get(index.min(late.len().saturating_sub(1))).map_or(0.0, |late| late.as_secs_f64() * 1e3)
    };
    println!(
        r#"{{"requests":{},"records_per_second":{:.1},"p50_milliseconds":{:.3},"p99_milliseconds":{:.3},"p999_milliseconds":{:.3}}}"#,
        late.len(),
        late.len() as f64 / wall.as_secs_f64(),
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
    );
    Ok(())
}

/// How late each request was answered, and how long it all took.
async fn load(arguments: &Arguments) -> Result<(Vec<Duration>, Duration), Box<dyn Error>> {
    let order = Bytes::from(order(arguments.bytes));
    let mut connections = Vec::new();
    for _ in 0..arguments.connections {
        connections.push(Connection::open(&arguments.address).await?);
    }
    let (begin, number) = (Instant::now(), Cell::new(0_u32));
    let on_each = connections.into_iter().map(|mut connection| {
        let (order, number) = (&order, &number);
        async move {
            let mut late = Vec::new();
            loop {
                let due = match arguments.rate {
                    Some(rate) => begin + Duration::from_secs_f64(f64::from(number.get()) / rate),
                    None => Instant::now(),
                };
                if due >= begin + arguments.time {
                    return Ok::<_, Box<dyn Error>>(late);
                }
                number.set(number.get() + 1);
                if due > Instant::now() {
                    tokio::time::sleep_until(due.into()).await;
                }
                let (status, _) = connection.post(&arguments.path, order.clone()).await?;
                if !status.is_success() {
                    return Err(format!("the server answered {status}").into());
                }
                late.push(due.elapsed());
            }
        }
    });
    let late = try_join_all(on_each).await?.concat();
    Ok((late, begin.elapsed()))
}
