//! What an outcome means for its record.

use std::time::Duration;

use bytes::Bytes;
use http::Response;

use crate::failure::{Failure, Reason};
use crate::retry::{self, RetryPolicy};
use crate::route::ClientErrors;

#[cfg(test)]
mod tests;

/// What to do with a record now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a record without its end holds back its partition"]
pub enum Disposition {
    /// Its end: the response goes to the return address.
    Reply,
    /// Its end: nobody waits for an answer.
    Done,
    /// Not its end: call again.
    Retry {
        /// How long to wait before.
        after: Duration,
    },
    /// Its end: it goes to the dead-letter topic, and after that whoever asked is told.
    DeadLetter {
        /// What the return address gets.
        answer: Answer,
    },
}

/// What a requester gets for a record that became a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing: there is no return address, or none that may be written to.
    None,
    /// The last response, as a reply.
    LastResponse,
    /// An error reply with this status.
    Error(u16),
}

/// What counts besides the outcome.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Whether the record has a return address that it may use.
    pub addressed: bool,
    /// The calls made for it so far, this one included.
    pub attempt: u32,
    /// What a 4xx means without a return address.
    pub client_errors: ClientErrors,
    /// When to try again.
    pub retry: &'a RetryPolicy,
    /// A number drawn uniformly from `[0, 1)`.
    pub jitter: f64,
    /// Time since the Unix epoch, for a `Retry-After` that is a date.
    pub now: Duration,
}

/// Decides what becomes of a record: the one table of outcomes. An outcome is a response that [`crate::response::check`]
/// found valid, or the failure of any stage.
pub fn decide(outcome: Result<&Response<Bytes>, &Failure>, ask: &Ask<'_>) -> Disposition {
    let dead_letter = |answer| Disposition::DeadLetter { answer: if ask.addressed { answer } else { Answer::None } };
    let retry_or = |answer| {
        if ask.attempt >= ask.retry.attempts {
            return dead_letter(answer);
        }
        let asked = outcome.ok().and_then(|response| retry::retry_after(response.headers(), ask.now));
        Disposition::Retry { after: ask.retry.delay(ask.attempt, ask.jitter, asked) }
    };
    match outcome.map(|response| response.status().as_u16()).map_err(|failure| failure.reason) {
        Ok(200..=399) if ask.addressed => Disposition::Reply,
        Ok(200..=399) => Disposition::Done,
        Ok(408 | 425 | 429 | 500..=599) => retry_or(Answer::LastResponse),
        Ok(400..=499) if ask.addressed => Disposition::Reply,
        Ok(400..=499) if ask.client_errors == ClientErrors::Accept => Disposition::Done,
        Ok(400..=499) => dead_letter(Answer::None),
        Ok(_) => retry_or(Answer::Error(502)),
        Err(Reason::Trap | Reason::OutOfMemory | Reason::NoResponse) => retry_or(Answer::Error(502)),
        Err(Reason::InvalidResponse | Reason::ResponseTooLarge) => retry_or(Answer::Error(502)),
        Err(Reason::Deadline) => retry_or(Answer::Error(504)),
        Err(Reason::Status) => dead_letter(Answer::None),
        Err(Reason::InvalidRequest) => dead_letter(Answer::Error(400)),
        Err(Reason::RequestTooLarge) => dead_letter(Answer::Error(413)),
        // A loop is not kept alive by answering it, and a forbidden address gets nothing.
        Err(Reason::TooManyHops | Reason::ReplyRefused) => dead_letter(Answer::None),
        Err(Reason::ReplyTooLarge | Reason::ReplyFailed) => dead_letter(Answer::Error(500)),
    }
}

/// The failure that a dead letter names when its cause is a response.
pub fn failure_of(response: &Response<Bytes>) -> Failure {
    let status = response.status();
    let message = format!("the handler answered {status}");
    Failure { status: Some(status.as_u16()), ..Failure::new(Reason::Status, message) }
}
