//! The offsets of a partition whose records have not ended.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::metadata::varint_len;

/// A set of offsets that also knows how long the list of its gaps would be: whether a commit's metadata has room is
/// asked with every record, and a record that waits for minutes may have thousands above it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Incomplete {
    offsets: BTreeSet<i64>,
    /// Bytes of the distances from each offset to the next, as varints.
    gaps_len: usize,
}

impl Incomplete {
    pub(crate) fn insert(&mut self, offset: i64) {
        if self.offsets.contains(&offset) {
            return;
        }
        let (below, above) = self.neighbours(offset);
        self.gaps_len += gap_len(below, Some(offset)) + gap_len(Some(offset), above) - gap_len(below, above);
        self.offsets.insert(offset);
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, offset: i64) -> bool {
        if !self.offsets.remove(&offset) {
            return false;
        }
        let (below, above) = self.neighbours(offset);
        self.gaps_len =
            self.gaps_len + gap_len(below, above) - gap_len(below, Some(offset)) - gap_len(Some(offset), above);
        true
    }

    pub(crate) fn contains(&self, offset: i64) -> bool {
        self.offsets.contains(&offset)
    }

    pub(crate) fn first(&self) -> Option<i64> {
        self.offsets.first().copied()
    }

    pub(crate) fn last(&self) -> Option<i64> {
        self.offsets.last().copied()
    }

    /// The lowest that is not below `offset`.
    pub(crate) fn first_from(&self, offset: i64) -> Option<i64> {
        self.offsets.range(offset..).next().copied()
    }

    /// Those below `end`, ascending.
    pub(crate) fn below(&self, end: i64) -> impl Iterator<Item = i64> {
        self.offsets.range(..end).copied()
    }

    /// Bytes of the distances from each offset to the next, as varints.
    pub(crate) fn gaps_len(&self) -> usize {
        self.gaps_len
    }

    fn neighbours(&self, offset: i64) -> (Option<i64>, Option<i64>) {
        let above = (Bound::Excluded(offset), Bound::Unbounded);
        (self.offsets.range(..offset).next_back().copied(), self.offsets.range(above).next().copied())
    }
}

impl FromIterator<i64> for Incomplete {
    fn from_iter<I: IntoIterator<Item = i64>>(offsets: I) -> Self {
        let mut all = Self::default();
        offsets.into_iter().for_each(|offset| all.insert(offset));
        all
    }
}

/// Bytes of the distance between two neighbours; nothing where there is none.
fn gap_len(below: Option<i64>, above: Option<i64>) -> usize {
    below.zip(above).map_or(0, |(below, above)| varint_len(above.abs_diff(below)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_length_is_that_of_the_gaps(steps in prop::collection::vec((any::<bool>(), 0..5_000_000i64), 0..80)) {
            let mut incomplete = Incomplete::default();
            for (insert, offset) in steps {
                // Close together, and far apart.
                for offset in [offset % 50, offset] {
                    if insert {
                        incomplete.insert(offset);
                    } else {
                        let there = incomplete.contains(offset);
                        prop_assert_eq!(incomplete.remove(offset), there);
                    }
                }
                let all: Vec<i64> = incomplete.below(i64::MAX).collect();
                let expected: usize = all.windows(2).map(|pair| varint_len(pair[1].abs_diff(pair[0]))).sum();
                prop_assert_eq!(incomplete.gaps_len(), expected);
            }
        }
    }
}
