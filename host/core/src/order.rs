//! What must be sequential: lanes within one partition.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};

use bytes::Bytes;

#[cfg(test)]
mod tests;

/// The ordering of a route: which records must wait for one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Ordering {
    /// Every record waits for the one before it in its partition.
    #[default]
    Partition,
    /// A record waits for the earlier ones of its key; records without a key wait for none.
    Key,
    /// No record waits for another.
    Unordered,
}

/// A lane of one partition: what is in it runs one at a time, in offset order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LaneId(Lane);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Lane {
    Partition,
    Key(Bytes),
    /// A record that nothing waits for: a lane of its own, told from others by a running number.
    Alone(u64),
}

/// The lanes of one partition, and what waits in them.
///
/// A lane is *running* from the moment [`admit`](Self::admit) names it until [`next`](Self::next) finds it empty.
/// Whoever runs it takes one item at a time with `next`, and asks for the following one when that item's outcome is
/// decided. So order within a lane and independence between lanes follow from this type alone.
#[derive(Debug)]
pub struct Lanes<T> {
    /// Every running lane with what waits in it, and for each item its size in bytes.
    running: HashMap<LaneId, VecDeque<(T, usize)>>,
    alone: u64,
    waiting: usize,
    bytes: usize,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { running: HashMap::new(), alone: 0, waiting: 0, bytes: 0 }
    }
}

impl<T> Lanes<T> {
    /// No lane runs and nothing waits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an item of `bytes` bytes at the end of its lane. `Some`: that lane was idle, runs from now on, and is to
    /// be started by taking its first item with [`next`](Self::next).
    #[must_use = "a lane that nobody starts holds its records for ever"]
    pub fn admit(&mut self, ordering: Ordering, key: Option<&Bytes>, item: T, bytes: usize) -> Option<LaneId> {
        let id = self.lane(ordering, key);
        self.waiting += 1;
        self.bytes += bytes;
        match self.running.entry(id) {
            Entry::Occupied(mut lane) => {
                lane.get_mut().push_back((item, bytes));
                None
            }
            Entry::Vacant(idle) => {
                let id = idle.key().clone();
                idle.insert(VecDeque::from([(item, bytes)]));
                Some(id)
            }
        }
    }

    /// Takes the next item of a running lane. `None`: nothing waits in it, and it is idle again.
    pub fn next(&mut self, id: &LaneId) -> Option<T> {
        let Some((item, bytes)) = self.running.get_mut(id)?.pop_front() else {
            self.running.remove(id);
            return None;
        };
        self.waiting -= 1;
        self.bytes -= bytes;
        Some(item)
    }

    /// Items that wait, those taken not counted.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Bytes of the items that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Drops what waits and says how many that were: the partition is revoked. Running lanes go on to their end.
    pub fn clear(&mut self) -> usize {
        self.running.values_mut().for_each(VecDeque::clear);
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    fn lane(&mut self, ordering: Ordering, key: Option<&Bytes>) -> LaneId {
        LaneId(match (ordering, key) {
            (Ordering::Partition, _) => Lane::Partition,
            (Ordering::Key, Some(key)) => Lane::Key(key.clone()),
            (Ordering::Key, None) | (Ordering::Unordered, _) => {
                self.alone += 1;
                Lane::Alone(self.alone)
            }
        })
    }
}
