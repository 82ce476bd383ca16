//! Why a record did not get the answer it asked for: stage, reason, and a sentence for a person.

use std::fmt;
use std::sync::Arc;

/// The room in which a record failed, as the dead letter's `x-callgate-dlt-stage` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It could not become a request (Invalid Message Channel): the handler never saw it.
    Request,
    /// The call itself failed.
    Invoke,
    /// The call gave a response, and that is the failure.
    Response,
    /// The response could not be delivered.
    Reply,
}

impl Stage {
    /// The word used in headers, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Invoke => "invoke",
            Self::Response => "response",
            Self::Reply => "reply",
        }
    }
}

/// The reason of a dead letter: a stable code, documented in `docs/errors.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The record cannot become a request, or its return address is malformed.
    InvalidRequest,
    /// Its headers or its value are over the tenant's limits.
    RequestTooLarge,
    /// It went round between handlers more often than `max_hops` allows.
    TooManyHops,
    /// The guest trapped, overflowed its stack, or exited with a status other than 0.
    Trap,
    /// The guest wanted more than `max_memory`.
    OutOfMemory,
    /// The guest took longer than `deadline`, or computed longer than `max_cpu`.
    Deadline,
    /// The guest returned, or exited with status 0, without a response.
    NoResponse,
    /// The response's status asks for a retry or for a dead letter.
    Status,
    /// The response cannot become a reply.
    InvalidResponse,
    /// The response is over the tenant's limits.
    ResponseTooLarge,
    /// The return address is not one that this tenant's records may name.
    ReplyRefused,
    /// The reply is larger than its topic takes.
    ReplyTooLarge,
    /// The broker refused the reply for good: the topic is missing or forbidden.
    ReplyFailed,
}

impl Reason {
    /// The code used in headers, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid-request",
            Self::RequestTooLarge => "request-too-large",
            Self::TooManyHops => "too-many-hops",
            Self::Trap => "trap",
            Self::OutOfMemory => "out-of-memory",
            Self::Deadline => "deadline",
            Self::NoResponse => "no-response",
            Self::Status => "status",
            Self::InvalidResponse => "invalid-response",
            Self::ResponseTooLarge => "response-too-large",
            Self::ReplyRefused => "reply-refused",
            Self::ReplyTooLarge => "reply-too-large",
            Self::ReplyFailed => "reply-failed",
        }
    }

    /// The stage at which this reason arises.
    pub fn stage(self) -> Stage {
        match self {
            Self::InvalidRequest | Self::RequestTooLarge | Self::TooManyHops => Stage::Request,
            Self::Trap | Self::OutOfMemory | Self::Deadline | Self::NoResponse => Stage::Invoke,
            Self::Status | Self::InvalidResponse | Self::ResponseTooLarge => Stage::Response,
            Self::ReplyRefused | Self::ReplyTooLarge | Self::ReplyFailed => Stage::Reply,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What went wrong with one record or one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The stable code; it implies the stage.
    pub reason: Reason,
    /// A sentence for a person: what was wrong and, where that helps, what to do.
    pub message: String,
    /// The HTTP status, where the failure is a response.
    pub status: Option<u16>,
    /// The kind of trap and its WebAssembly backtrace, where the guest trapped.
    pub trap: Option<String>,
    /// The digest of the component that failed, where the call was of several.
    pub component: Option<Arc<str>>,
}

impl Failure {
    /// A failure that is neither a response nor a trap.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), status: None, trap: None, component: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

impl std::error::Error for Failure {}
