//! The last room: a record's end is made durable, and only then may its offset be committed.
//!
//! A reply ends its record when the broker has acknowledged it. A dead letter does too, and then, where somebody waits,
//! an answer follows. What cannot be delivered is judged one by one: sent again, or turned into a dead letter. What
//! cannot be dead-lettered stops its partition until it can.
//!
//! [`Settlement`] is the port: there is one way behind it for each guarantee of delivery. Everything it needs to know of a
//! record is behind [`Unit`], and everything that ends a record is one of its three methods.

mod at_least_once;
mod delivery;
mod exactly_once;
mod mender;
#[cfg(test)]
mod numbered;
mod outbox;
mod settlement;

pub use settlement::{Guarantee, Settlement, Settlements};

use callgate_core::failure::{Failure, Reason};
use callgate_core::offsets::Commit;
use callgate_core::record::{Coordinate, OutgoingRecord};
use callgate_core::stop::Stop;

/// A record on its way to its end. It is handed back by [`end`](Unit::end), once; if it is dropped instead, its offset
/// is never committed and it comes again.
pub trait Unit: Send + Sync + 'static {
    /// Keeps its partition from being given up.
    type Hold: Send;

    /// Where it stands.
    fn coordinate(&self) -> &Coordinate;

    /// The topic its dead letter goes to.
    fn dead_letter_topic(&self) -> std::sync::Arc<str>;

    /// Its dead letter, for a topic with that many partitions which takes batches of so many bytes.
    fn dead_letter(&self, failure: &Failure, partitions: i32, max_bytes: Option<usize>) -> OutgoingRecord;

    /// The answer to whoever waits, if anybody does.
    fn error_reply(&self, status: u16, failure: &Failure) -> Option<OutgoingRecord>;

    /// Whether its partition has gone to somebody else: then nothing may be produced for it any more.
    fn is_fenced(&self) -> bool;

    /// Whether many records of its partition wait: then its reply may wait a little for others.
    fn is_behind(&self) -> bool;

    /// Its reply is with the producer, and its lane goes on.
    fn sent(&self);

    /// Waits until it may become a dead letter: until all earlier records of its lane have ended, or its partition has
    /// gone.
    fn await_earlier(&self) -> impl Future<Output = ()>;

    /// Its partition takes in nothing more, for that reason.
    fn stop_partition(&self, stop: Stop);

    /// Its partition goes on.
    fn resume_partition(&self);

    /// It has ended so.
    fn end(self, end: End);

    /// A small number that all records of its partition have in common: partitions are spread by it.
    fn slot(&self) -> usize;

    /// Keeps its partition from being given up as long as a transaction holds its outcome; `None`: it is fenced.
    fn hold(&self) -> Option<Self::Hold>;

    /// What to commit for the partition of these, all of one assignment, together with their ends. `None` for none.
    fn commit_with(units: &[&Self]) -> Option<Commit>;

    /// A transaction of its group that held its outcome has ended, for whoever counts.
    fn transaction_ended(&self, end: TransactionEnd);
}

/// How a transaction has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionEnd {
    /// All of it counts.
    Committed,
    /// Nothing of it counts; it is written again.
    Aborted,
    /// That is for the committed offsets to say.
    InDoubt,
}

/// How a record has ended, for whoever counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its reply is where it was asked for.
    Replied,
    /// Nobody asked for a reply.
    Done,
    /// It is in the dead-letter topic.
    DeadLettered {
        /// Why.
        reason: Reason,
        /// Whether its requester was told.
        answered: bool,
    },
}

/// What a requester gets beside a dead letter.
#[derive(Debug)]
pub enum Answer {
    /// Nothing: nobody waits, or may be written to.
    Nothing,
    /// The handler's last response.
    Reply(OutgoingRecord),
    /// An error reply of this status.
    Error(u16),
}
