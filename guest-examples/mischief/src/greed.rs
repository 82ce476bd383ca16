//! It takes without end.

use std::hint::black_box;

use plain_http::Response;
use wasip2::clocks::monotonic_clock;
use wasip2::http::types::Fields;

const MS: u64 = 1_000_000;
const MIB: usize = 1 << 20;

pub(crate) fn spin(ms: Option<u64>) -> Response {
    let Some(ms) = ms else { spin_for_ever() };
    let end = monotonic_clock::now() + ms * MS;
    while monotonic_clock::now() < end {}
    Response::new(200)
}

pub(crate) fn spin_for_ever() -> ! {
    let mut turns: u64 = 0;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

pub(crate) fn sleep(ms: Option<u64>) -> Response {
    let Some(ms) = ms else { sleep_for_ever() };
    monotonic_clock::subscribe_duration(ms * MS).block();
    Response::new(200)
}

pub(crate) fn sleep_for_ever() -> ! {
    loop {
        monotonic_clock::subscribe_duration(u64::MAX).block();
    }
}

pub(crate) fn allocate(mib: Option<u64>) -> Response {
    let mut taken = Vec::new();
    while mib != Some(taken.len() as u64) {
        taken.push(black_box(vec![1_u8; MIB]));
    }
    Response::new(200)
}

/// Memory that nobody gives back.
pub(crate) fn leak(mib: u64) {
    std::mem::forget(black_box(vec![1_u8; mib as usize * MIB]));
}

pub(crate) fn recurse() -> Response {
    let turns = black_box(Turn(deeper));
    deeper(&turns, 0);
    Response::new(200)
}

/// A function that the compiler cannot see through, so that it cannot make a loop of the recursion.
struct Turn(fn(&Turn, u64) -> u64);

fn deeper(turn: &Turn, depth: u64) -> u64 {
    turn.0(turn, depth + 1) ^ depth
}

pub(crate) fn handles(count: u64) -> Response {
    let held: Vec<Fields> = (0..count).map(|_| Fields::new()).collect();
    drop(held);
    Response::new(200)
}

pub(crate) fn endless_log() -> ! {
    for line in 0_u64.. {
        println!("line {line} of many");
    }
    unreachable!("the numbers do not end");
}
