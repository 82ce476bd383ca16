//! What a dead letter must not overtake: the replies of earlier records are still on their way while their lane goes on,
//! and each of them may turn into a dead letter, too.

use std::collections::BTreeSet;

use callgate_core::order::Ordering;

use super::{Partition, State};

/// Who is before whom, as far as the offsets do not say it.
#[derive(Debug, Default)]
pub(super) struct Letters {
    // Ordered by key: the offsets whose replies are with the producer.
    on_their_way: BTreeSet<i64>,
    waiting: usize,
}

impl Letters {
    /// A record has ended. Returns whether a dead letter may have waited for that.
    pub(super) fn ended(&mut self, ordering: Ordering, offset: i64) -> bool {
        if ordering == Ordering::Key {
            self.on_their_way.remove(&offset);
        }
        self.waiting > 0
    }
}

impl State {
    fn is_first(&self, ordering: Ordering, offset: i64) -> bool {
        match ordering {
            Ordering::Partition => self.offsets.committable() >= offset,
            // Of all keys, not only of its own: they arrive, or fail, within the producer's time.
            Ordering::Key => self.letters.on_their_way.first().is_none_or(|first| *first >= offset),
            Ordering::Unordered => true,
        }
    }
}

impl Partition {
    /// The record's reply has been handed to the producer.
    pub(super) fn sent(&self, offset: i64) {
        if self.ordering == Ordering::Key {
            self.state().letters.on_their_way.insert(offset);
        }
    }

    /// Waits until the record may become a dead letter, or the partition has gone.
    pub(super) async fn await_earlier(&self, offset: i64) {
        if self.state().is_first(self.ordering, offset) {
            return;
        }
        self.state().letters.waiting += 1;
        loop {
            let ended = self.ends.notified();
            tokio::pin!(ended);
            // Registered before looking, so that an end in between is not missed.
            ended.as_mut().enable();
            if self.state().is_first(self.ordering, offset) {
                break;
            }
            tokio::select! {
                () = ended => {}
                () = self.fenced() => break,
            }
        }
        self.state().letters.waiting -= 1;
    }
}
