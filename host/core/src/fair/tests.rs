use proptest::prelude::*;

use super::*;

const MAX_TURN: u64 = 1_000_000;

fn weight(share: f64) -> Weight {
    Weight::new(share).expect("a weight")
}

fn push(queue: &mut FairQueue<u32>, tenant: TenantId, item: u32) {
    queue.push(tenant, Weight::ONE, Place::Short, item);
}

/// What a tenant has had, divided by its weight.
fn level(queue: &FairQueue<u32>, tenant: usize, weights: &[Weight]) -> f64 {
    queue.spent(tenant as TenantId) as f64 * 1000.0 / f64::from(weights[tenant].0)
}

proptest! {
    /// Whatever their turns cost and however many they have waiting, tenants that are never idle are apart by one turn
    /// each at most.
    #[test]
    fn busy_tenants_get_their_shares(
        shares in prop::collection::vec(0.01_f64..100.0, 2..8),
        turns in prop::collection::vec((0_usize..8, 1..MAX_TURN), 0..400),
    ) {
        let weights: Vec<Weight> = shares.iter().map(|share| weight(*share)).collect();
        let mut queue = FairQueue::new();
        for (tenant, weight) in weights.iter().enumerate() {
            queue.push(tenant as TenantId, *weight, Place::Short, 0);
        }
        for (more, cost) in turns {
            let more = more % weights.len();
            queue.push(more as TenantId, weights[more], Place::Long, 1);
            let (tenant, _) = queue.pop().expect("somebody waits");
            queue.charge(tenant, cost);
            queue.push(tenant, weights[tenant as usize], Place::Short, 0);
            for one in 0..weights.len() {
                for other in 0..one {
                    let apart = (level(&queue, one, &weights) - level(&queue, other, &weights)).abs();
                    let bound = [one, other].map(|i| MAX_TURN as f64 * 1000.0 / f64::from(weights[i].0));
                    prop_assert!(apart <= bound[0] + bound[1] + 1000.0, "{one} and {other} are {apart} apart");
                }
            }
        }
    }

    /// A tenant that comes back gets its share from then on, not what it has missed.
    #[test]
    fn an_idle_tenant_does_not_save_up(
        missed in prop::collection::vec(1..MAX_TURN, 0..100),
        turns in prop::collection::vec(1..MAX_TURN, 0..200),
    ) {
        let mut queue = FairQueue::new();
        push(&mut queue, 1, 0);
        for cost in missed {
            let (tenant, item) = queue.pop().expect("1 waits");
            queue.charge(tenant, cost);
            push(&mut queue, tenant, item);
        }
        push(&mut queue, 2, 0);
        let begun = queue.spent(1);
        for cost in turns {
            let (tenant, item) = queue.pop().expect("both wait");
            queue.charge(tenant, cost);
            push(&mut queue, tenant, item);
            let apart = (queue.spent(1) - begun).abs_diff(queue.spent(2));
            prop_assert!(apart <= 2 * MAX_TURN, "{apart} apart");
        }
    }

    /// Nothing is lost, nothing comes twice, and each tenant's own come in order, the short and the long ones.
    #[test]
    fn all_have_their_turn_in_order(pushes in prop::collection::vec((0..5_u64, any::<bool>(), 1..MAX_TURN), 0..200)) {
        let mut queue = FairQueue::new();
        for (number, (tenant, long, _)) in pushes.iter().enumerate() {
            let place = if *long { Place::Long } else { Place::Short };
            queue.push(*tenant, Weight::ONE, place, number);
        }
        let mut taken = Vec::new();
        while let Some((tenant, number)) = queue.pop() {
            prop_assert_eq!(tenant, pushes[number].0);
            queue.charge(tenant, pushes[number].2);
            taken.push(number);
        }
        prop_assert!(queue.is_empty());
        for (tenant, long) in (0..5).flat_map(|tenant| [(tenant, false), (tenant, true)]) {
            let of_it = |number: &&usize| (pushes[**number].0, pushes[**number].1) == (tenant, long);
            prop_assert!(taken.iter().filter(of_it).is_sorted());
        }
        taken.sort_unstable();
        prop_assert_eq!(taken, (0..pushes.len()).collect::<Vec<_>>());
    }
}

#[test]
fn whoever_wants_less_than_its_share_is_next() {
    let mut queue = FairQueue::new();
    for item in 0..1000 {
        push(&mut queue, 1, item);
        push(&mut queue, 2, item);
    }
    for round in 0..100 {
        for _ in 0..10 {
            let (tenant, _) = queue.pop().expect("there are many");
            queue.charge(tenant, MAX_TURN);
        }
        push(&mut queue, 3, round);
        assert_eq!(queue.pop(), Some((3, round)));
        queue.charge(3, MAX_TURN / 2);
    }
}

#[test]
fn long_and_short_ones_of_a_tenant_take_turns() {
    let mut queue = FairQueue::new();
    for item in ["a", "b"] {
        queue.push(1, Weight::ONE, Place::Long, item);
    }
    for item in ["1", "2", "3"] {
        queue.push(1, Weight::ONE, Place::Short, item);
    }
    queue.push(1, Weight::ONE, Place::Front, "0");
    let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, item)| item).collect();
    assert_eq!(order, ["0", "a", "1", "b", "2", "3"]);
}

#[test]
fn others_are_told_from_oneself() {
    let mut queue = FairQueue::new();
    push(&mut queue, 1, 0);
    assert!(!queue.others_wait(1));
    assert!(queue.others_wait(2));
    push(&mut queue, 2, 0);
    assert!(queue.others_wait(1));
}

#[test]
fn tenants_that_have_gone_are_forgotten() {
    let mut queue = FairQueue::new();
    for tenant in 0..10_000 {
        push(&mut queue, tenant, 0);
        queue.pop();
        queue.charge(tenant, 10);
        assert_eq!(queue.pop(), None);
    }
    assert!(queue.tenants.len() <= 2 * REMEMBERED, "{}", queue.tenants.len());
}

#[test]
fn a_weight_is_within_its_bounds() {
    assert_eq!(Weight::new(1.0), Some(Weight::ONE));
    assert_eq!(Weight::new(0.01), Some(Weight(10)));
    assert_eq!(Weight::new(100.0), Some(Weight(100_000)));
    for wrong in [0.0, -1.0, 0.009, 100.1, f64::NAN, f64::INFINITY] {
        assert_eq!(Weight::new(wrong), None, "{wrong}");
    }
}
