//! A record without a broker, for this room's tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use callgate_core::failure::Failure;
use callgate_core::offsets::Commit;
use callgate_core::record::{Coordinate, OutgoingRecord};
use callgate_core::stop::Stop;

use super::{End, TransactionEnd, Unit};

/// A record of a partition, whether that has gone, whether it was stopped, and whether many records of it wait.
pub(super) struct Numbered {
    pub(super) at: Coordinate,
    pub(super) gone: Arc<AtomicBool>,
    pub(super) stopped: Arc<AtomicBool>,
    pub(super) behind: bool,
}

impl Numbered {
    pub(super) fn new(partition: i32, offset: i64) -> Self {
        let at = Coordinate { topic: "orders".into(), partition, offset };
        Self { at, gone: Arc::default(), stopped: Arc::default(), behind: false }
    }
}

impl Unit for Numbered {
    type Hold = ();

    fn coordinate(&self) -> &Coordinate {
        &self.at
    }

    fn dead_letter_topic(&self) -> Arc<str> {
        "letters".into()
    }

    fn dead_letter(&self, _: &Failure, _: i32, _: Option<usize>) -> OutgoingRecord {
        record("letters", 0)
    }

    fn error_reply(&self, _: u16, _: &Failure) -> Option<OutgoingRecord> {
        None
    }

    fn is_fenced(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn is_behind(&self) -> bool {
        self.behind
    }

    fn sent(&self) {}

    async fn await_earlier(&self) {}

    fn stop_partition(&self, _: Stop) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn resume_partition(&self) {
        self.stopped.store(false, Ordering::Relaxed);
    }

    fn end(self, _: End) {}

    fn slot(&self) -> usize {
        0
    }

    fn hold(&self) -> Option<()> {
        (!self.is_fenced()).then_some(())
    }

    fn commit_with(_: &[&Self]) -> Option<Commit> {
        None
    }

    fn transaction_ended(&self, _: TransactionEnd) {}
}

pub(super) fn record(topic: &str, bytes: usize) -> OutgoingRecord {
    let value = Some(Bytes::from(vec![0; bytes]));
    OutgoingRecord { topic: topic.into(), partition: None, timestamp: None, key: None, value, headers: Vec::new() }
}
