//! Why a partition takes in nothing more, for an operator.

use std::fmt;

/// What keeps a partition from going on. The names are those of the alerts that say so, which are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopCause {
    /// A dead letter cannot be written.
    DeadLetterUnwritable,
    /// No broker takes a reply that belongs to a transaction.
    ReplyUnwritable,
    /// No transaction can be begun.
    TransactionsRefused,
    /// The circuit breaker of its route is open.
    RoutePaused,
    /// The offset to go on from does not exist.
    OffsetOutOfRange,
    /// A batch of its records cannot be read.
    BatchCorrupt,
    /// Its topic was deleted and made again.
    TopicRecreated,
    /// The host itself failed at one of its records.
    HostFailed,
}

impl StopCause {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeadLetterUnwritable => "dead-letter-unwritable",
            Self::ReplyUnwritable => "reply-unwritable",
            Self::TransactionsRefused => "transactions-refused",
            Self::RoutePaused => "route-paused",
            Self::OffsetOutOfRange => "offset-out-of-range",
            Self::BatchCorrupt => "batch-corrupt",
            Self::TopicRecreated => "topic-recreated",
            Self::HostFailed => "host-failed",
        }
    }
}

/// A cause, and a sentence with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Of a few, so that they can be counted.
    pub cause: StopCause,
    /// For people.
    pub reason: String,
}

impl Stop {
    /// With this sentence.
    pub fn new(cause: StopCause, reason: impl Into<String>) -> Self {
        Self { cause, reason: reason.into() }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}
