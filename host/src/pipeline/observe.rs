//! Who looks on: metrics, and the lines of `callgate dev`.

use std::time::Duration;

use callgate_core::record::Record;

use super::bound::Bound;
use crate::settle::{End, TransactionEnd};

/// How a record has ended.
#[derive(Debug)]
pub struct Ended<'a> {
    /// The record.
    pub record: &'a Record,
    /// The route it took.
    pub bound: &'a Bound,
    /// Where its answer went or would have gone.
    pub reply_topic: Option<&'a str>,
    /// Calls made for it.
    pub attempts: u32,
    /// The status of the last response, if there was one.
    pub status: Option<u16>,
    /// Its end.
    pub end: End,
    /// From its turn in its lane to the acknowledgement of its end.
    pub took: Duration,
}

/// Somebody who looks on. Called on workers' and producers' threads: it must not wait.
pub trait Observer: Send + Sync {
    /// A call has ended: with that status, or with that reason of a failure.
    fn called(&self, bound: &Bound, outcome: Result<u16, &'static str>, took: Duration);

    /// From now on each record of the handler gets a fresh instance, whatever its manifest says.
    fn gave_up_reuse(&self, _bound: &Bound) {}

    /// A record has ended.
    fn ended(&self, ended: &Ended<'_>);

    /// A transaction of the group has ended.
    fn transaction_ended(&self, group_id: &str, end: TransactionEnd);
}
