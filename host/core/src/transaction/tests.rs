use proptest::prelude::*;

use super::*;
use crate::metadata::Ended;
use crate::offsets::Offsets;

fn written(outcome: usize, fate: Fate) -> Written {
    Written { outcome, fate }
}

#[test]
fn without_a_reason_nobody_is_to_blame() {
    assert_eq!(blame(&[], false), Blame::Nobody);
    assert_eq!(blame(&[], true), Blame::Nobody, "offsets alone cannot be at fault");
    assert_eq!(blame(&[written(0, Fate::Sound), written(1, Fate::Sound)], false), Blame::Nobody);
}

#[test]
fn what_is_guilty_is_named_whoever_else_is_suspect() {
    let all = [written(0, Fate::Suspect), written(1, Fate::Guilty), written(2, Fate::Sound), written(3, Fate::Guilty)];
    assert_eq!(blame(&all, false), Blame::Records(vec![1, 3]));
}

#[test]
fn a_suspect_that_is_alone_is_at_fault() {
    let all = [written(0, Fate::Sound), written(4, Fate::Suspect), written(5, Fate::Sound)];
    assert_eq!(blame(&all, false), Blame::Records(vec![1]));
}

#[test]
fn of_several_suspects_the_first_half_is_written_next() {
    let all = [0, 2, 3, 7, 8].map(|outcome| written(outcome, Fate::Suspect));
    assert_eq!(blame(&all, false), Blame::AmongFirst(3), "0 and 2 of them, and what lies between");
}

#[test]
fn where_the_broker_names_nobody_all_are_suspects() {
    let all = [0, 1, 2, 3].map(|outcome| written(outcome, Fate::Sound));
    assert_eq!(blame(&all, true), Blame::AmongFirst(2));
    assert_eq!(blame(&all[..1], true), Blame::Records(vec![0]));
}

#[test]
fn an_answer_is_blamed_before_its_dead_letter() {
    let letter_and_answer = [written(0, Fate::Suspect), written(0, Fate::Suspect)];
    assert_eq!(blame(&letter_and_answer, false), Blame::Records(vec![1]));
}

proptest! {
    /// A broker that refuses every transaction with a bad record in it, and never says which: all bad ones are found,
    /// no good one is blamed, and what is good is written once, in order.
    #[test]
    fn halving_finds_exactly_what_is_bad(bad in prop::collection::vec(any::<bool>(), 1..60), named: bool) {
        let mut waiting: Vec<usize> = (0..bad.len()).collect();
        let (mut good, mut blamed): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut take = usize::MAX;
        let mut transactions = 0;
        while !waiting.is_empty() {
            transactions += 1;
            prop_assert!(transactions <= 20 * bad.len(), "it goes on for ever");
            let batch = &waiting[..take.min(waiting.len())];
            if !batch.iter().any(|&outcome| bad[outcome]) {
                good.extend(batch);
                waiting.drain(..batch.len());
                take = take.saturating_mul(2);
                continue;
            }
            let fate = if named { Fate::Suspect } else { Fate::Sound };
            let records: Vec<Written> = (0..batch.len()).map(|outcome| written(outcome, fate)).collect();
            match blame(&records, !named) {
                Blame::AmongFirst(fewer) => {
                    prop_assert!(0 < fewer && fewer < batch.len());
                    take = fewer;
                }
                Blame::Records(places) => places.iter().rev().for_each(|&place| blamed.push(waiting.remove(place))),
                Blame::Nobody => prop_assert!(false, "somebody is to blame"),
            }
        }
        prop_assert!(good.is_sorted());
        prop_assert!(good.iter().all(|&outcome| !bad[outcome]));
        prop_assert!(blamed.iter().all(|&outcome| bad[outcome]));
        prop_assert_eq!(good.len() + blamed.len(), bad.len());
    }
}

#[test]
fn a_transaction_has_counted_if_its_commit_is_there() {
    let mut offsets = Offsets::new(1, 10, Ended::none());
    let ticket = offsets.begin(10).expect("not ended before");
    let before = offsets.snapshot([7; 16], 4);
    let ours = offsets.snapshot_with([&ticket].into_iter(), [7; 16], 5);
    assert!(offsets.end(ticket));
    let later = offsets.snapshot([7; 16], 6);

    let there = |commit: &Commit| has_counted(&ours, Some((commit.offset, &commit.metadata)));
    assert!(!there(&before));
    assert!(there(&ours));
    assert!(there(&later));
    assert!(!has_counted(&ours, None), "the group has no offset");
    assert!(!has_counted(&ours, Some((11, ""))), "somebody has set it by hand");
    assert!(!has_counted(&ours, Some((12, &ours.metadata))), "metadata of another offset says nothing");
}
