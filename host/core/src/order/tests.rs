use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn key(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(text.as_bytes()))
}

#[test]
fn a_partition_is_one_lane() {
    let mut lanes = Lanes::new();
    let lane = lanes.admit(Ordering::Partition, key("a").as_ref(), 1, 10).expect("the first record starts the lane");
    assert_eq!(lanes.admit(Ordering::Partition, key("b").as_ref(), 2, 10), None);
    assert_eq!(lanes.admit(Ordering::Partition, None, 3, 10), None);
    assert_eq!(
        [lanes.next(&lane), lanes.next(&lane), lanes.next(&lane), lanes.next(&lane)],
        [Some(1), Some(2), Some(3), None]
    );
    assert_eq!(lanes.admit(Ordering::Partition, None, 4, 10), Some(lane), "idle again, so it must be started again");
}

#[test]
fn keys_wait_for_their_own_only() {
    let mut lanes = Lanes::new();
    let a = lanes.admit(Ordering::Key, key("a").as_ref(), 1, 0).expect("starts");
    let b = lanes.admit(Ordering::Key, key("b").as_ref(), 2, 0).expect("another key is another lane");
    assert_eq!(lanes.admit(Ordering::Key, key("a").as_ref(), 3, 0), None);
    assert_eq!(lanes.next(&a), Some(1));
    assert_eq!((lanes.next(&b), lanes.next(&b)), (Some(2), None), "b goes on while a's first is under way");
    assert_eq!(lanes.next(&a), Some(3));
    let empty = lanes.admit(Ordering::Key, key("").as_ref(), 4, 0).expect("the empty key is a key");
    assert_eq!(lanes.admit(Ordering::Key, key("").as_ref(), 5, 0), None);
    assert_eq!(lanes.next(&empty), Some(4));
}

#[test]
fn records_without_a_key_and_unordered_ones_wait_for_none() {
    let mut lanes = Lanes::new();
    for (ordering, key) in
        [(Ordering::Key, None), (Ordering::Key, None), (Ordering::Unordered, key("a")), (Ordering::Unordered, key("a"))]
    {
        assert!(lanes.admit(ordering, key.as_ref(), (), 0).is_some());
    }
}

#[test]
fn clear_drops_what_waits_and_leaves_the_lane_running() {
    let mut lanes = Lanes::new();
    let lane = lanes.admit(Ordering::Partition, None, 1, 5).expect("starts");
    assert_eq!(lanes.next(&lane), Some(1));
    for item in 2..5 {
        assert_eq!(lanes.admit(Ordering::Partition, None, item, 5), None);
    }
    assert_eq!((lanes.waiting(), lanes.bytes()), (3, 15));
    assert_eq!(lanes.clear(), 3);
    assert_eq!((lanes.waiting(), lanes.bytes()), (0, 0));
    assert_eq!(lanes.next(&lane), None);
}

#[derive(Clone, Debug)]
enum Step {
    Admit(Ordering, Option<u8>),
    /// Asks one of the running lanes for its next item.
    Next(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ordering = prop_oneof![Just(Ordering::Partition), Just(Ordering::Key), Just(Ordering::Unordered)];
    let step = prop_oneof![
        (ordering, prop::option::of(0..4u8)).prop_map(|(ordering, key)| Step::Admit(ordering, key)),
        any::<prop::sample::Index>().prop_map(|index| Step::Next(index.index(1 << 20))),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// Whatever is admitted comes out once, in the order of its lane; an item waits only for those of its own lane.
    #[test]
    fn lanes_keep_their_order_and_lose_nothing(steps in steps()) {
        let mut lanes = Lanes::new();
        let mut running: Vec<LaneId> = Vec::new();
        let mut expected: HashMap<LaneId, VecDeque<usize>> = HashMap::new();
        let mut waiting = 0;
        for (item, step) in steps.into_iter().enumerate() {
            match step {
                Step::Admit(ordering, key) => {
                    let key = key.map(|key| Bytes::from(vec![key]));
                    let id = match (ordering, &key) {
                        (Ordering::Partition, _) => Some(LaneId(Lane::Partition)),
                        (Ordering::Key, Some(key)) => Some(LaneId(Lane::Key(key.clone()))),
                        _ => None,
                    };
                    let started = lanes.admit(ordering, key.as_ref(), item, 1);
                    let busy = id.as_ref().is_some_and(|id| running.contains(id));
                    prop_assert_eq!(started.is_none(), busy);
                    running.extend(started.clone());
                    if let Some(lane) = started.or(id) {
                        expected.entry(lane).or_default().push_back(item);
                    }
                    waiting += 1;
                }
                Step::Next(index) if !running.is_empty() => {
                    let lane = running[index % running.len()].clone();
                    let next = lanes.next(&lane);
                    prop_assert_eq!(next, expected.get_mut(&lane).and_then(VecDeque::pop_front));
                    match next {
                        Some(_) => waiting -= 1,
                        None => running.retain(|other| *other != lane),
                    }
                }
                Step::Next(_) => {}
            }
            prop_assert_eq!((lanes.waiting(), lanes.bytes()), (waiting, waiting));
        }
    }
}
