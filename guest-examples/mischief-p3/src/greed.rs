//! It takes without end.

use std::future::poll_fn;
use std::hint::black_box;
use std::task::Poll;

use futures::future::join_all;
use wasip3::clocks::monotonic_clock;
use wasip3::http::types::Response;
use wasip3::wit_stream;

use crate::mirror;
use crate::responses::status;

const MS: u64 = 1_000_000;
const MIB: usize = 1 << 20;

pub(crate) fn spin(ms: Option<u64>) -> Response {
    let Some(ms) = ms else { spin_for_ever() };
    let end = monotonic_clock::now() + ms * MS;
    while monotonic_clock::now() < end {}
    status(200)
}

pub(crate) fn spin_for_ever() -> ! {
    let mut turns: u64 = 0;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

pub(crate) async fn sleep(ms: Option<u64>) -> Response {
    match ms {
        Some(ms) => sleep_for(ms).await,
        None => sleep_for_ever().await,
    }
    status(200)
}

pub(crate) async fn sleep_for(ms: u64) {
    monotonic_clock::wait_for(ms * MS).await;
}

pub(crate) async fn sleep_for_ever() {
    loop {
        monotonic_clock::wait_for(u64::MAX).await;
    }
}

pub(crate) async fn wait() -> Response {
    let (writer, mut reader) = wit_stream::new::<u8>();
    reader.next().await;
    drop(writer);
    status(200)
}

pub(crate) async fn yield_for_ever() -> Response {
    poll_fn(|context| {
        context.waker().wake_by_ref();
        Poll::<Response>::Pending
    })
    .await
}

pub(crate) fn allocate(mib: Option<u64>) -> Response {
    let mut taken = Vec::new();
    while mib != Some(taken.len() as u64) {
        taken.push(black_box(vec![1_u8; MIB]));
    }
    status(200)
}

pub(crate) fn recurse() -> Response {
    let turns = black_box(Turn(deeper));
    deeper(&turns, 0);
    status(200)
}

/// A function that the compiler cannot see through, so that it cannot make a loop of the recursion.
struct Turn(fn(&Turn, u64) -> u64);

fn deeper(turn: &Turn, depth: u64) -> u64 {
    turn.0(turn, depth + 1) ^ depth
}

pub(crate) fn handles(count: u64) -> Response {
    let held: Vec<_> = (0..count).map(|_| wit_stream::new::<u8>()).collect();
    drop(held);
    status(200)
}

pub(crate) async fn timers(count: u64) -> Response {
    join_all((0..count).map(|_| sleep_for_ever())).await;
    status(200)
}

pub(crate) async fn endless_log() -> Response {
    let mut stdout = mirror::stdout();
    for line in 0_u64.. {
        stdout.write_all(format!("line {line} of many\n").into_bytes()).await;
    }
    status(200)
}
