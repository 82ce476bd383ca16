use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const TOPIC: [u8; 16] = [7; 16];

fn begin(offsets: &mut Offsets, offset: i64) -> Ticket {
    offsets.begin(offset).expect("not ended before")
}

/// What the next assignment knows of a commit.
fn read_back(commit: &Commit) -> Ended {
    Metadata::decode(commit.metadata.as_bytes(), TOPIC, commit.offset).expect("our own metadata").ended
}

#[test]
fn nothing_is_committable_above_a_record_that_has_not_ended() {
    let mut offsets = Offsets::new(1, 100, Ended::none());
    assert_eq!(offsets.committable(), 100);
    let [a, b, c] = [100, 101, 102].map(|offset| begin(&mut offsets, offset));
    assert!(offsets.end(b));
    assert!(offsets.end(c));
    assert_eq!((offsets.committable(), offsets.in_flight()), (100, 1));
    assert!(offsets.end(a));
    assert_eq!((offsets.committable(), offsets.in_flight()), (103, 0));
}

#[test]
fn gaps_cost_nothing() {
    let mut offsets = Offsets::new(1, 100, Ended::none());
    let a = begin(&mut offsets, 150);
    assert_eq!(offsets.committable(), 150, "what lies below does not exist");
    let b = begin(&mut offsets, 1_000_000);
    assert!(offsets.end(a));
    assert_eq!(offsets.committable(), 1_000_000);
    assert!(offsets.end(b));
    assert_eq!(offsets.committable(), 1_000_001);
}

#[test]
fn tickets_of_another_assignment_count_for_nothing() {
    let mut before = Offsets::new(1, 0, Ended::none());
    let late = begin(&mut before, 0);
    let mut now = Offsets::new(2, 0, Ended::none());
    let _current = begin(&mut now, 0);
    assert!(!now.end(late));
    assert_eq!((now.committable(), now.in_flight()), (0, 1));
}

#[test]
fn a_record_that_comes_twice_is_taken_in_once() {
    let mut offsets = Offsets::new(1, 0, Ended::none());
    let _first = begin(&mut offsets, 0);
    assert_eq!(offsets.begin(0), None);
    assert_eq!(offsets.in_flight(), 1);
}

#[test]
fn what_has_ended_above_the_commit_is_not_done_again() {
    let mut before = Offsets::new(1, 10, Ended::none());
    let mut tickets: BTreeMap<i64, Ticket> = (10..16).map(|offset| (offset, begin(&mut before, offset))).collect();
    for offset in [11, 14] {
        assert!(before.end(tickets.remove(&offset).expect("in flight")));
    }
    let commit = before.snapshot(TOPIC, 1);
    assert_eq!(commit.offset, 10);

    let mut now = Offsets::new(2, 10, read_back(&commit));
    let ten = begin(&mut now, 10);
    assert_eq!(now.begin(11), None);
    assert!(now.end(ten));
    assert_eq!(now.committable(), 12, "12 has not ended, though it has not come again");
    assert_eq!(read_back(&now.snapshot(TOPIC, 2)), Ended::new(vec![12, 13], 15), "14 has ended and has not come again");
    let twelve = begin(&mut now, 12);
    assert!(now.end(twelve));
    // Compaction has taken 13 away since.
    assert_eq!(now.begin(14), None);
    assert_eq!(now.committable(), 15);
}

#[test]
fn a_commit_is_due_when_something_has_ended_since_the_last_one() {
    let mut offsets = Offsets::new(1, 0, Ended::none());
    let [a, b] = [0, 1].map(|offset| begin(&mut offsets, offset));
    assert!(!offsets.dirty(), "what only began needs no commit");
    offsets.end(a);
    assert!(offsets.dirty());
    let commit = offsets.snapshot(TOPIC, 1);
    offsets.end(b);
    offsets.committed(&commit);
    assert!(offsets.dirty(), "b has ended since the snapshot");
    offsets.committed(&offsets.snapshot(TOPIC, 2));
    assert!(!offsets.dirty());
}

#[test]
fn a_snapshot_may_run_ahead_of_what_has_ended() {
    let mut offsets = Offsets::new(1, 10, Ended::none());
    let [a, b, c] = [10, 11, 12].map(|offset| begin(&mut offsets, offset));
    let foreign = begin(&mut Offsets::new(2, 10, Ended::none()), 10);
    let commit = offsets.snapshot_with([&b, &c, &foreign].into_iter(), TOPIC, 1);
    assert_eq!(commit.offset, 10);
    assert_eq!(read_back(&commit), Ended::new(vec![10], 13));
    assert_eq!((offsets.committable(), offsets.in_flight()), (10, 3), "nothing has ended by that");
    assert_eq!(read_back(&offsets.snapshot(TOPIC, 2)), Ended::none());
    assert!(offsets.end(a) && offsets.end(b) && offsets.end(c));
    assert_eq!(offsets.committable(), 13);
}

/// Distances from record to record: dense, with small gaps, or with large ones.
fn distances(records: usize) -> impl Strategy<Value = Vec<i64>> {
    prop::sample::select(vec![1i64, 3, 200, 20_000])
        .prop_flat_map(move |widest| prop::collection::vec(1..=widest, 1..records))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Against a plain model: the committable offset is the lowest incomplete one, and what a commit says is the truth.
    #[test]
    fn a_commit_says_what_is_so(
        distances in distances(40),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let mut offsets = Offsets::new(1, 5, Ended::none());
        let mut next = 5;
        let mut incomplete: BTreeMap<i64, Ticket> = BTreeMap::new();
        let mut done = Vec::new();
        let mut distances = distances.into_iter();
        let mut ends = order.into_iter();
        loop {
            // Two in, one out, until all are in; then out as long as the order says.
            let arrived: Vec<i64> = distances.by_ref().take(2).collect();
            let end = ends.next();
            if arrived.is_empty() && end.is_none() {
                break;
            }
            for distance in arrived {
                let offset = next + distance - 1;
                incomplete.insert(offset, begin(&mut offsets, offset));
                next = offset + 1;
            }
            if let Some(end) = end && !incomplete.is_empty() {
                let offset = *end.get(&incomplete.keys().copied().collect::<Vec<_>>());
                prop_assert!(offsets.end(incomplete.remove(&offset).expect("chosen from them")));
                done.push(offset);
            }
            let commit = offsets.snapshot(TOPIC, 1);
            prop_assert_eq!(commit.offset, incomplete.keys().next().copied().unwrap_or(next));
            let ended = read_back(&commit);
            prop_assert!(incomplete.keys().all(|&offset| !ended.contains(offset)));
            prop_assert!(done.iter().all(|&offset| offset < commit.offset || ended.contains(offset)));
        }
    }

    /// A second assignment that goes on from any commit does the rest and nothing twice.
    #[test]
    fn an_assignment_goes_on_where_the_last_one_was(
        distances in distances(60),
        ends in prop::collection::vec(any::<bool>(), 60),
    ) {
        let stream: Vec<i64> = distances.iter().scan(0, |at, distance| { *at += distance; Some(*at) }).collect();
        let mut before = Offsets::new(1, 0, Ended::none());
        let tickets: Vec<Ticket> = stream.iter().map(|&offset| begin(&mut before, offset)).collect();
        let mut done = Vec::new();
        for (ticket, ended) in tickets.into_iter().zip(ends) {
            if ended {
                done.push(ticket.offset());
                before.end(ticket);
            }
        }
        let commit = before.snapshot(TOPIC, 1);
        let mut now = Offsets::new(2, commit.offset, read_back(&commit));
        for &offset in stream.iter().filter(|&&offset| offset >= commit.offset) {
            let ticket = now.begin(offset);
            prop_assert_eq!(ticket.is_none(), done.contains(&offset));
            if let Some(ticket) = ticket {
                prop_assert!(now.end(ticket));
            }
            prop_assert!(now.committable() > offset);
        }
        prop_assert_eq!(now.committable(), before.next);
        prop_assert_eq!(now.in_flight(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// While `takes` is asked, the metadata stays within its bounds, in whatever order the records end.
    #[test]
    fn the_metadata_holds_whatever_was_taken(
        widest in prop::sample::select(vec![1i64, 2, 9, 300, 40_000]),
        seed: u64,
        from in 0..1i64 << 40,
    ) {
        let mut random = seed | 1;
        let mut draw = |below: i64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % below as u64) as i64
        };
        let mut offsets = Offsets::new(1, from, Ended::none());
        let mut tickets = Vec::new();
        let mut offset = from;
        while offsets.takes(offset) {
            prop_assert!(tickets.len() < 100_000, "intake is not bounded");
            tickets.push(begin(&mut offsets, offset));
            offset += 1 + draw(widest);
        }
        prop_assert!(tickets.len() > 500, "room for {} records only", tickets.len());
        let every = tickets.len() / 200;
        while !tickets.is_empty() {
            // Mostly late ones first: that leaves the most to say.
            let index = draw(tickets.len() as i64).max(draw(tickets.len() as i64)) as usize;
            prop_assert!(offsets.end(tickets.swap_remove(index)));
            if tickets.len() % every == 0 {
                let commit = offsets.snapshot(TOPIC, u64::MAX);
                prop_assert!(commit.metadata.len() <= metadata::MAX_BYTES, "{} bytes", commit.metadata.len());
                read_back(&commit);
            }
        }
        prop_assert!(offsets.takes(offset), "all have ended, so there is room again");
    }
}
