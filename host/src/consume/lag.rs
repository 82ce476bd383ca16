//! How far a group is behind the ends of its partitions, and whether a transaction that was left open holds one of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::broker::{Ends, TopicPartition};

/// A last stable offset that has stood still for so long below the high watermark is worth a word. Most producers'
/// transactions are shorter: the broker aborts those of Java's after 60 s, if nothing else is set.
pub(super) const STANDS_STILL: Duration = Duration::from_secs(60);

/// Time between two looks counts at most so long: while the brokers were away, nothing could move.
const BETWEEN_LOOKS: Duration = Duration::from_secs(15);

/// How far a group is behind, over the partitions that it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Offsets between what has ended and what can be read, of all partitions.
    pub records: u64,
    /// The same of the partition that is farthest behind.
    pub worst: u64,
    /// Offsets above what can be read, since a transaction is open below them.
    pub unstable: u64,
}

/// Where the partitions end, as far as the broker has told.
#[derive(Debug, Default)]
pub(super) struct PartitionEnds {
    seen: BTreeMap<TopicPartition, Seen>,
}

#[derive(Debug)]
struct Seen {
    ends: Ends,
    at: Instant,
    // For how long the last stable offset has not moved below the high watermark.
    stood: Duration,
    told: bool,
}

impl PartitionEnds {
    /// Forgets the partitions that are another's now.
    pub(super) fn retain(&mut self, is_ours: impl Fn(&TopicPartition) -> bool) {
        self.seen.retain(|at, _| is_ours(at));
    }

    /// Takes in what the broker has told `now`. Returns the partitions whose last stable offset stands still, each once
    /// until it moves.
    pub(super) fn learn(&mut self, now: Instant, told: BTreeMap<TopicPartition, Ends>) -> Vec<(TopicPartition, Ends)> {
        let mut still = Vec::new();
        for (at, ends) in told {
            let first = Seen { ends, at: now, stood: Duration::ZERO, told: false };
            let seen = self.seen.entry(at.clone()).or_insert(first);
            let is_open = |ends: &Ends| ends.last_stable < ends.high_watermark;
            if is_open(&ends) && is_open(&seen.ends) && ends.last_stable == seen.ends.last_stable {
                seen.stood += now.saturating_duration_since(seen.at).min(BETWEEN_LOOKS);
            } else {
                (seen.stood, seen.told) = (Duration::ZERO, false);
            }
            (seen.ends, seen.at) = (ends, now);
            if seen.stood >= STANDS_STILL && !std::mem::replace(&mut seen.told, true) {
                still.push((at, ends));
            }
        }
        still
    }

    /// How far these are behind, each with the offset below which all has ended. `None` where nothing is known of any.
    pub(super) fn lag<'a>(&self, fronts: impl Iterator<Item = (&'a TopicPartition, i64)>) -> Option<Lag> {
        let (mut lag, mut known, mut partitions) = (Lag::default(), 0, 0);
        for (at, front) in fronts {
            partitions += 1;
            let Some(Seen { ends, .. }) = self.seen.get(at) else { continue };
            known += 1;
            let behind = u64::try_from(ends.last_stable - front).unwrap_or(0);
            lag.records += behind;
            lag.worst = lag.worst.max(behind);
            lag.unstable += u64::try_from(ends.high_watermark - ends.last_stable).unwrap_or(0);
        }
        (known > 0 || partitions == 0).then_some(lag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32) -> TopicPartition {
        TopicPartition { topic: "orders".into(), partition }
    }

    fn ends(last_stable: i64, high_watermark: i64) -> BTreeMap<TopicPartition, Ends> {
        [(at(0), Ends { high_watermark, last_stable })].into()
    }

    /// What is told of partition 0, 5 s after each other: last stable offset and high watermark. Gives the looks at which
    /// it is said to stand still.
    fn alerts(looks: impl IntoIterator<Item = (i64, i64)>) -> Vec<usize> {
        let (mut known, start) = (PartitionEnds::default(), Instant::now());
        let looks = looks.into_iter().enumerate().filter(|(look, (last_stable, high_watermark))| {
            let now = start + Duration::from_secs(5) * u32::try_from(*look).expect("a few looks");
            !known.learn(now, ends(*last_stable, *high_watermark)).is_empty()
        });
        looks.map(|(look, _)| look).collect()
    }

    #[test]
    fn what_stands_still_is_told_once() {
        assert_eq!(alerts([(7, 9); 40]), [12], "60 s after the first look");
        assert_eq!(alerts((0..40).map(|more| (7, 9 + more))), [12], "whatever is written above it");
    }

    #[test]
    fn what_moves_or_has_no_transaction_above_it_does_not_stand_still() {
        assert!(alerts((0..40).map(|more| (7 + more / 6, 99))).is_empty(), "one transaction after another");
        assert!(alerts([(9, 9); 40]).is_empty(), "nobody writes");
        let after_an_idle_hour = [(9, 9); 30].into_iter().chain([(9, 10); 13]);
        assert_eq!(alerts(after_an_idle_hour), [42], "the transaction is not as old as the offset");
    }

    #[test]
    fn after_it_has_moved_it_is_told_again() {
        assert_eq!(alerts([(7, 9); 20].into_iter().chain([(8, 9); 20])), [12, 32]);
    }

    #[test]
    fn time_without_an_answer_hardly_counts() {
        let (mut known, start) = (PartitionEnds::default(), Instant::now());
        for minutes in 0..4 {
            assert!(known.learn(start + Duration::from_secs(60 * minutes), ends(7, 9)).is_empty());
        }
    }

    #[test]
    fn a_partition_that_went_and_came_back_begins_anew() {
        let (mut known, start) = (PartitionEnds::default(), Instant::now());
        for look in 0..24 {
            if look == 11 {
                known.retain(|_| false);
            }
            let told = known.learn(start + Duration::from_secs(5 * look), ends(7, 9));
            assert_eq!(told.len(), usize::from(look == 23), "look {look}");
        }
    }

    #[test]
    fn the_lag_is_that_of_all_and_of_the_one_farthest_behind() {
        let mut known = PartitionEnds::default();
        let partitions = [at(0), at(1), at(2)];
        assert_eq!(known.lag(std::iter::empty()), Some(Lag::default()), "no partition, nothing to be behind of");
        assert_eq!(known.lag([(&partitions[0], 4)].into_iter()), None, "the broker has not told yet");
        let told = [
            (at(0), Ends { high_watermark: 12, last_stable: 10 }),
            (at(1), Ends { high_watermark: 30, last_stable: 30 }),
            (at(2), Ends { high_watermark: 5, last_stable: 5 }),
        ];
        known.learn(Instant::now(), told.into());
        let fronts = partitions.iter().zip([4, 10, 6]);
        assert_eq!(
            known.lag(fronts),
            Some(Lag { records: 26, worst: 20, unstable: 2 }),
            "a front may be ahead of what was told"
        );
    }
}
