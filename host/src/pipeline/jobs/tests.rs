use super::*;

fn share(tenant: TenantId) -> Share {
    Share { tenant, weight: callgate_core::fair::Weight::ONE }
}

fn handed(worker: &Mailbox<&'static str>) -> Vec<&'static str> {
    let mut mail = super::super::mailbox::Mail::default();
    worker.collect(&mut mail);
    mail.handed
}

fn named(jobs: &Jobs<&'static str>, seen: &mut u64) -> Vec<TenantId> {
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
    jobs.push(share(1), "first");
    jobs.push(share(1), "second");
    assert_eq!(handed(&worker), ["first"]);
    assert!(!jobs.is_wanted());
    assert_eq!(jobs.take(1), Some(("second", false)));
}

#[test]
fn while_all_are_awake_lanes_wait_in_their_tenants_lines() {
    let (jobs, mut seen) = (Jobs::default(), 0);
    assert!(named(&jobs, &mut seen).is_empty());
    for (tenant, lane) in [(1, "a"), (2, "b"), (1, "c")] {
        jobs.push(share(tenant), lane);
    }
    assert_eq!(named(&jobs, &mut seen), [1, 2]);
    assert!(named(&jobs, &mut seen).is_empty(), "nothing has come since");
    assert_eq!(jobs.take(1), Some(("a", true)));
    assert_eq!(jobs.take(1), Some(("c", false)));
    assert_eq!(jobs.take(1), None);
    jobs.push(share(1), "d");
    assert_eq!(named(&jobs, &mut seen), [1, 2]);
}

#[test]
fn no_worker_sleeps_while_lanes_wait() {
    let (jobs, worker) = (Jobs::default(), Arc::<Mailbox<_>>::default());
    jobs.push(share(1), "a lane");
    assert!(!jobs.fall_asleep(&worker));
    assert!(!jobs.is_wanted());
}

#[test]
fn one_that_woke_up_by_itself_is_handed_nothing() {
    let (jobs, worker) = (Jobs::default(), Arc::<Mailbox<_>>::default());
    assert!(jobs.fall_asleep(&worker));
    jobs.wake_up(&worker);
    jobs.push(share(1), "a lane");
    assert!(handed(&worker).is_empty());
    assert_eq!(jobs.take(1), Some(("a lane", false)));
}
