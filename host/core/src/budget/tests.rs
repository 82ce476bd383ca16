use proptest::prelude::*;

use super::*;

/// A tenant that takes as many parts as it gets. Returns how many.
fn fill(budget: &mut Budget<u32>, tenant: TenantId, part: u64) -> u64 {
    (0..).take_while(|_| budget.reserve(tenant, part).is_ok()).count() as u64
}

#[test]
fn one_alone_gets_most_of_it_and_leaves_room() {
    let mut budget = Budget::new(1000);
    assert_eq!(fill(&mut budget, 1, 10), 80);
    assert_eq!(fill(&mut budget, 2, 10), 16, "of what was left, in the same way");
    assert!(budget.total() - budget.held() >= 10, "a third one has room");
}

#[test]
fn tenants_that_always_want_more_come_to_hold_the_same() {
    let mut budget = Budget::new(1000);
    let mut held = [fill(&mut budget, 0, 10), 0];
    for waiter in 0..100 {
        for tenant in [0, 1] {
            if budget.reserve(tenant, 10).is_ok() {
                held[tenant as usize] += 1
            } else {
                budget.wait(tenant, 10, tenant as u32)
            }
        }
        // Each of their calls ends some time.
        let ends = u64::from(held[1] > 0 && waiter % 2 == 1);
        held[ends as usize] -= 1;
        for served in budget.give_back(ends, 10) {
            held[served as usize] += 1;
        }
    }
    assert!(held[0].abs_diff(held[1]) <= 10, "{held:?}");
}

#[test]
fn whoever_does_not_fit_stands_in_nobodys_way() {
    let mut budget = Budget::new(100);
    assert!(budget.reserve(1, 60).is_ok());
    assert_eq!(budget.reserve(2, 50), Err(NoRoom));
    budget.wait(2, 50, "two");
    assert!(budget.reserve(3, 10).is_ok(), "its first");
    assert_eq!(budget.reserve(3, 10), Err(NoRoom), "two has nothing yet");
    assert_eq!(budget.give_back(1, 60), ["two"]);
    assert!(budget.reserve(3, 10).is_ok());
}

#[test]
fn more_than_there_is_runs_alone() {
    let mut budget = Budget::new(100);
    assert!(budget.reserve(1, 500).is_ok());
    assert_eq!(budget.reserve(2, 10), Err(NoRoom));
    budget.wait(2, 10, "two");
    assert_eq!(budget.give_back(1, 500), ["two"]);
    assert_eq!(budget.reserve(1, 500), Err(NoRoom));
    budget.wait(1, 500, "one");
    assert_eq!(budget.give_back(2, 10), ["one"]);
}

#[test]
fn a_larger_budget_serves_those_who_wait() {
    let mut budget = Budget::new(100);
    assert!(budget.reserve(1, 90).is_ok());
    budget.wait(2, 50, "two");
    assert_eq!(budget.resize(200), ["two"]);
}

proptest! {
    /// Whatever is asked for in whatever order: all that fits is held within the budget, everybody is served in the end,
    /// and nothing is left over.
    #[test]
    fn everybody_is_served_and_nothing_is_lost(asked in prop::collection::vec((0..4_u64, 1..400_u64), 1..100)) {
        let mut budget = Budget::new(300);
        let mut running = VecDeque::new();
        for (number, (tenant, bytes)) in asked.iter().enumerate() {
            if budget.reserve(*tenant, *bytes).is_ok() {
                running.push_back(number);
            } else {
                budget.wait(*tenant, *bytes, number);
            }
        }
        let mut ended = 0;
        while let Some(number) = running.pop_front() {
            let alone = running.is_empty();
            prop_assert!(budget.held() <= budget.total() || alone);
            ended += 1;
            let (tenant, bytes) = asked[number];
            running.extend(budget.give_back(tenant, bytes));
        }
        prop_assert_eq!(ended, asked.len());
        prop_assert_eq!(budget.held(), 0);
        prop_assert!(budget.tenants.is_empty());
    }
}
