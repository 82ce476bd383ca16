use std::cell::Cell;

use callgate_core::fair::Weight;

use super::super::mailbox::Mail;
use super::*;

thread_local! {
    /// The topics whose routes have no room.
    static FULL: Cell<&'static str> = const { Cell::new("") };
}

#[derive(Debug, PartialEq)]
struct Lane(TenantId, &'static str);

impl Waiting for Lane {
    fn share(&self) -> Share {
        Share { tenant: self.0, weight: Weight::ONE }
    }

    fn line(&self) -> LineId {
        (0, self.1.into())
    }

    fn has_room(&self) -> bool {
        !FULL.get().contains(self.1)
    }
}

fn handed(worker: &Mailbox<Lane>) -> Vec<Lane> {
    let mut mail = Mail::default();
    worker.collect(&mut mail);
    mail.handed
}

fn named(jobs: &Jobs<Lane>, seen: &mut Option<u64>) -> Vec<TenantId> {
    let mut tenants = Vec::new();
    jobs.look(seen, |share| tenants.push(share.tenant));
    tenants.sort_unstable();
    tenants
}

#[test]
fn a_lane_goes_to_a_worker_that_sleeps() {
    let (jobs, worker) = (Jobs::default(), Arc::<Mailbox<_>>::default());
    assert!(jobs.fall_asleep(&worker) && worker.fall_asleep());
    assert!(jobs.is_wanted());
    jobs.push(Lane(1, "a"));
    jobs.push(Lane(1, "b"));
    assert_eq!(handed(&worker), [Lane(1, "a")]);
    assert!(!jobs.is_wanted());
    assert_eq!(jobs.take(1), Some((Lane(1, "b"), false)));
}

#[test]
fn while_all_are_awake_lanes_wait_in_line() {
    let (jobs, mut seen) = (Jobs::default(), None);
    assert!(named(&jobs, &mut seen).is_empty());
    for lane in [Lane(1, "a"), Lane(2, "b"), Lane(1, "c")] {
        jobs.push(lane);
    }
    assert_eq!(named(&jobs, &mut seen), [1, 2]);
    assert!(named(&jobs, &mut seen).is_empty(), "there is no news");
    assert_eq!(jobs.take(1), Some((Lane(1, "a"), true)));
    assert_eq!(jobs.take(1), Some((Lane(1, "c"), false)));
    assert_eq!(jobs.take(1), None);
    jobs.push(Lane(1, "d"));
    assert_eq!(named(&jobs, &mut seen), [1, 2]);
}

#[test]
fn routes_of_a_tenant_take_turns_and_one_without_room_is_passed_over() {
    let jobs = Jobs::default();
    for topic in ["a", "a", "a", "b", "c", "c"] {
        jobs.push(Lane(1, topic));
    }
    FULL.set("c");
    let taken: Vec<_> = std::iter::from_fn(|| jobs.take(1)).map(|(Lane(_, topic), more)| (topic, more)).collect();
    assert_eq!(taken, [("a", true), ("b", true), ("a", true), ("a", false)]);
    FULL.set("");
    assert_eq!(jobs.take(1), Some((Lane(1, "c"), true)));
}

#[test]
fn a_lane_without_room_keeps_nobody_awake_and_is_handed_over_when_there_is_some() {
    let (jobs, worker, mut seen) = (Jobs::default(), Arc::<Mailbox<_>>::default(), None);
    FULL.set("a");
    jobs.push(Lane(1, "a"));
    assert!(named(&jobs, &mut seen).is_empty());
    assert!(jobs.fall_asleep(&worker));
    jobs.made_room();
    assert!(handed(&worker).is_empty());
    FULL.set("");
    jobs.made_room();
    assert_eq!(handed(&worker), [Lane(1, "a")]);
}

#[test]
fn workers_that_are_awake_look_again_when_a_call_has_ended() {
    let (jobs, mut seen) = (Jobs::default(), None);
    FULL.set("a");
    jobs.push(Lane(1, "a"));
    assert!(named(&jobs, &mut seen).is_empty());
    FULL.set("");
    jobs.made_room();
    assert_eq!(named(&jobs, &mut seen), [1]);
}

#[test]
fn no_worker_sleeps_while_lanes_wait() {
    let (jobs, worker) = (Jobs::default(), Arc::<Mailbox<_>>::default());
    jobs.push(Lane(1, "a"));
    assert!(!jobs.fall_asleep(&worker));
    assert!(!jobs.is_wanted());
}

#[test]
fn one_that_woke_up_by_itself_is_handed_nothing() {
    let (jobs, worker) = (Jobs::default(), Arc::<Mailbox<_>>::default());
    assert!(jobs.fall_asleep(&worker));
    jobs.wake_up(&worker);
    jobs.push(Lane(1, "a"));
    assert!(handed(&worker).is_empty());
    assert_eq!(jobs.take(1), Some((Lane(1, "a"), false)));
}
