//! Bodies: one that is whole goes in without a copy, what a guest writes is collected within its limits.

use std::convert::Infallible;
use std::fmt::Debug;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use callgate_core::failure::{Failure, Reason};
use callgate_core::limits::CallLimits;
use http::HeaderMap;
use http::response::Parts;
use http_body::{Body, Frame};
use http_body_util::Full;
use wasmtime_wasi_http::WasiBody;

/// A whole body as a guest reads it.
pub(super) fn whole(body: Bytes) -> impl Body<Data = Bytes, Error = Infallible> + Send + 'static {
    Full::new(body)
}

/// The response of one call as far as it has come.
pub(super) struct Collector {
    limits: CallLimits,
    head: Option<Parts>,
    body: Option<WasiBody>,
    collected: Chunks,
    /// What is wrong with the response. The guest goes on all the same: should it trap, that says more.
    fault: Option<Failure>,
}

impl Collector {
    pub(super) fn new(limits: &CallLimits) -> Self {
        let (head, body, collected, fault) = (None, None, Chunks::default(), None);
        Self { limits: *limits, head, body, collected, fault }
    }

    /// The guest has answered: with the head of its response and a body to come, or with an error instead.
    ///
    /// # Errors
    ///
    /// Where the head is over its limits, which ends the call.
    pub(super) fn begin(&mut self, answer: Result<http::Response<WasiBody>, impl Debug>) -> Result<(), Failure> {
        match answer {
            Ok(response) => {
                let (head, body) = response.into_parts();
                check_headers(&head.headers, &self.limits)?;
                self.head = Some(head);
                self.body = Some(body);
            }
            Err(code) => self.fault = Some(error_instead(&code)),
        }
        Ok(())
    }

    /// Takes what the guest has written so far. Ready when nothing more of a body is expected.
    ///
    /// # Errors
    ///
    /// Where the body is over its limit, which ends the call.
    pub(super) fn take(&mut self, context: &mut Context<'_>) -> Result<Poll<()>, Failure> {
        while let Some(body) = &mut self.body {
            let Poll::Ready(frame) = Pin::new(body).poll_frame(context) else { return Ok(Poll::Pending) };
            match frame {
                Some(Ok(frame)) => self.push(frame)?,
                Some(Err(_)) => {
                    self.body = None;
                    self.fault = Some(Failure::new(
                        Reason::InvalidResponse,
                        "the handler gave up its response body, or wrote other than its `content-length` says",
                    ));
                }
                None => self.body = None,
            }
        }
        Ok(Poll::Ready(()))
    }

    /// The whole response, once the guest has returned and what it has written is taken.
    pub(super) fn finish(&mut self) -> Result<http::Response<Bytes>, Failure> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let Some(head) = self.head.take() else {
            return Err(Failure::new(Reason::NoResponse, "the handler returned without a response"));
        };
        if self.body.is_some() {
            return Err(Failure::new(
                Reason::InvalidResponse,
                "the handler returned without finishing its response body (`outgoing-body.finish`)",
            ));
        }
        Ok(http::Response::from_parts(head, std::mem::take(&mut self.collected).into_bytes()))
    }

    fn push(&mut self, frame: Frame<Bytes>) -> Result<(), Failure> {
        // Trailers have no place in a reply record.
        let Ok(data) = frame.into_data() else { return Ok(()) };
        self.collected.push(data);
        let limit = self.limits.max_response_body;
        if self.collected.len() <= limit {
            return Ok(());
        }
        let message = format!("the response body is larger than {limit} bytes: the tenant's `max_response_body`");
        Err(Failure::new(Reason::ResponseTooLarge, message))
    }
}

fn error_instead(code: &impl Debug) -> Failure {
    Failure::new(Reason::NoResponse, format!("the handler set an error instead of a response: {code:?}"))
}

fn check_headers(headers: &HeaderMap, limits: &CallLimits) -> Result<(), Failure> {
    let count = headers.len();
    if count > limits.max_headers {
        let message = format!("the response has {count} headers: the tenant's `max_headers` is {}", limits.max_headers);
        return Err(Failure::new(Reason::ResponseTooLarge, message));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > limits.max_header_bytes {
        let message = format!(
            "the response's headers are {bytes} bytes: the tenant's `max_header_bytes` is {}",
            limits.max_header_bytes
        );
        return Err(Failure::new(Reason::ResponseTooLarge, message));
    }
    Ok(())
}

/// What was written, in one piece: the first chunk as it came, since most bodies are just one; further ones are copied
/// together, so that a body of very many very small chunks costs no more than its bytes.
#[derive(Default)]
pub(super) struct Chunks {
    first: Bytes,
    rest: BytesMut,
}

impl Chunks {
    pub(super) fn push(&mut self, chunk: Bytes) {
        if self.len() == 0 {
            self.first = chunk;
            return;
        }
        if self.rest.is_empty() {
            self.rest.extend_from_slice(&self.first);
            self.first = Bytes::new();
        }
        self.rest.extend_from_slice(&chunk);
    }

    pub(super) fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    pub(super) fn into_bytes(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_together_in_order() {
        let collect = |chunks: &[&'static str]| {
            let mut collected = Chunks::default();
            for chunk in chunks {
                collected.push(Bytes::from_static(chunk.as_bytes()));
            }
            assert_eq!(collected.len(), chunks.concat().len());
            collected.into_bytes()
        };
        assert_eq!(collect(&[]), "");
        assert_eq!(collect(&["one"]), "one");
        assert_eq!(collect(&["", "one", "", "two", "three"]), "onetwothree");
    }
}
