//! Which records a handler gets, as which operation, and what applies to them.

use std::sync::Arc;
use std::time::Duration;

use crate::breaker::BreakerPolicy;
use crate::order::Ordering;
use crate::retry::RetryPolicy;

mod operation;
mod topics;

pub use operation::{Operation, PathPart};
pub use topics::{TopicList, TopicSelector, valid_topic_name};

/// Where the value of a path or query parameter comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The last record header of that name (compared ignoring ASCII case).
    Header(Arc<str>),
    /// The record's key.
    Key,
}

/// What to do with a record that names no return address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WithoutReplyTo {
    /// Call the handler; its successful response is dropped and counted.
    #[default]
    Call,
    /// No address, no call: the record is done.
    Skip,
}

/// What a 4xx response means for a record without a return address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClientErrors {
    /// Nobody is told, so it is kept: a dead letter.
    #[default]
    DeadLetter,
    /// The record is done.
    Accept,
}

/// Which instance a record's call gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Instances {
    /// One of its own: nothing that one record leaves behind reaches another.
    #[default]
    Fresh,
    /// One that has served records of the same handler before, so many of them at most.
    Reuse {
        /// Records that one instance serves, the first included.
        records: u32,
    },
}

/// One route of a handler, ready to be applied. Which topics it gets is decided by the table.
#[derive(Clone, Debug)]
pub struct Route {
    /// What a record becomes.
    pub operation: Operation,
    /// What a tombstone becomes, where that differs.
    pub tombstone: Option<Operation>,
    /// Query parameters, in order.
    pub query: Vec<(String, Binding)>,
    /// The return address of records that name none.
    pub reply_to: Option<Arc<str>>,
    /// What to do with records that have no return address at all.
    pub without_reply_to: WithoutReplyTo,
    /// What a 4xx means for those.
    pub client_errors: ClientErrors,
    /// What must be sequential.
    pub ordering: Ordering,
    /// Calls of this route at once.
    pub max_in_flight: usize,
    /// For one call.
    pub deadline: Duration,
    /// When to try again.
    pub retry: RetryPolicy,
    /// When to call no more, since nearly all become dead letters.
    pub circuit_breaker: Option<BreakerPolicy>,
    /// Which instance a call gets.
    pub instances: Instances,
}
