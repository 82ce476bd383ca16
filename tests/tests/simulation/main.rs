//! The core under schedules that nobody would think of: hosts, partitions and a broker in one thread, where what happens
//! next, and how long it takes, is drawn from a seed. Lanes, offsets, metadata, the outcome table and the back-off are the
//! real ones; what surrounds them is a model of the host's rooms.
//!
//! A seed that fails is printed, and replays: `SEED=123 cargo test -p callgate-tests --test simulation`. More schedules:
//! `SCHEDULES=100000`.

mod chance;
mod fault;
mod host;
mod judge;
mod partition;
mod source;
mod world;

use std::env;

use fault::Fault;
use world::World;

const SCHEDULES: u64 = 20_000;

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable}={value} is no number")))
}

/// Runs the schedule of this seed once more, with all that happened in it.
fn replay(seed: u64, fault: Option<Fault>) -> String {
    let (verdict, trace) = World::new(seed, fault, true).run();
    let verdict = verdict.err().unwrap_or_else(|| "holds".to_owned());
    format!("{}\n\nSEED={seed}: {verdict}", trace.join("\n"))
}

#[test]
fn what_must_hold_holds_in_every_schedule() {
    if let Some(seed) = number("SEED") {
        return println!("{}", replay(seed, None));
    }
    for seed in 0..number("SCHEDULES").unwrap_or(SCHEDULES) {
        let (verdict, _) = World::new(seed, None, false).run();
        assert!(verdict.is_ok(), "{}", replay(seed, None));
    }
}

#[test]
fn every_planted_fault_is_found() {
    for fault in Fault::ALL {
        let found = (0..SCHEDULES).find(|&seed| World::new(seed, Some(fault), false).run().0.is_err());
        let Some(seed) = found else { panic!("{fault:?} was not found in {SCHEDULES} schedules") };
        println!("{fault:?}: SEED={seed}");
    }
}

#[test]
fn a_seed_gives_the_same_schedule_again() {
    for seed in 0..20 {
        assert_eq!(World::new(seed, None, true).run(), World::new(seed, None, true).run());
    }
}
