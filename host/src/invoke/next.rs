//! How a component calls on: its request to the reserved host becomes a call of the next component of its chain.
//!
//! Both bodies are collected on their way, within the tenant's limits. So the one component is never called with half a
//! request, nor blamed for a body that the other broke off, and what they say to each other does not depend on which
//! version of WASI each speaks. What the host holds for them meanwhile counts as memory of the call.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use callgate_core::limits::CallLimits;
use futures::future::LocalBoxFuture;
use http::Response;
use http::request::Parts;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use wasmtime_wasi_http::{Error, WasiBody};

use super::body::{self, Chunks};
use super::memory::{Budget, Held};
use super::{CallError, outcome};

/// What comes of a request to the next component, in the terms of `wasi:http`.
type Answer = Result<Response<WasiBody>, Error>;

/// A call of the next component.
pub(super) type Call<'a> = LocalBoxFuture<'a, Result<Response<Bytes>, CallError>>;

/// A guest's end: where its requests to the next component go.
pub(super) struct Next(Arc<Mutex<Sent>>);

struct Sent {
    /// How often it may still call on.
    left: u32,
    requests: Vec<Request>,
}

/// A request whose body is still being written.
struct Request {
    head: Parts,
    body: WasiBody,
    collected: Chunks,
    answer: oneshot::Sender<Answer>,
}

impl Next {
    /// Takes a guest's request; what is returned resolves to the next component's response.
    ///
    /// # Errors
    ///
    /// `ConnectionLimitReached` for a call beyond those allowed.
    pub(super) fn send(
        &self,
        request: http::Request<WasiBody>,
    ) -> Result<impl Future<Output = Answer> + Send + 'static, Error> {
        let mut sent = lock(&self.0);
        sent.left = sent.left.checked_sub(1).ok_or(Error::ConnectionLimitReached)?;
        let (head, body) = request.into_parts();
        let (answer, answered) = oneshot::channel();
        sent.requests.push(Request { head, body, collected: Chunks::default(), answer });
        // Without an answer only where the call ends, and the guest with it.
        Ok(async move { answered.await.unwrap_or(Err(Error::ConnectionTerminated)) })
    }
}

/// The host's end: the calls of the next component that one component asks for.
///
/// They are made one after another, so that a chain never has more instances at once than it has components. A call is
/// made once its request is complete, and carried to its end whether or not the guest waits for it: what becomes of a
/// record does not depend on which of two was faster.
pub(super) struct NextCalls<'a> {
    sent: Arc<Mutex<Sent>>,
    limits: &'a CallLimits,
    budget: Arc<Budget>,
    running: Option<Running<'a>>,
}

struct Running<'a> {
    call: Call<'a>,
    answer: oneshot::Sender<Answer>,
    /// The request's body.
    _held: Held,
}

impl<'a> NextCalls<'a> {
    /// Both ends, for a guest that may call on so many times.
    pub(super) fn new(max_calls: u32, limits: &'a CallLimits, budget: Arc<Budget>) -> (Next, Self) {
        let sent = Arc::new(Mutex::new(Sent { left: max_calls, requests: Vec::new() }));
        (Next(sent.clone()), Self { sent, limits, budget, running: None })
    }

    /// Goes on with the calls, each begun by `call`. To be polled whenever the guest has run. Ready while nothing is
    /// going on.
    ///
    /// # Errors
    ///
    /// Where a call has failed, which is the end of the whole chain's.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        call: impl Fn(Parts, Bytes) -> Call<'a>,
    ) -> Poll<Result<(), CallError>> {
        loop {
            if let Some(running) = &mut self.running {
                let response = ready!(running.call.as_mut().poll(context))?;
                let response = self.handed_over(response)?;
                if let Some(Running { answer, .. }) = self.running.take() {
                    // Refused where the guest has not waited for it.
                    let _ = answer.send(Ok(response));
                }
            }
            let Some((head, body, answer)) = self.complete(context) else { return Poll::Ready(Ok(())) };
            let held = self.hold(body.len())?;
            self.running = Some(Running { call: call(head, body), answer, _held: held });
        }
    }

    /// The first request that the guest has written to its end. Those that it has given up, or that are too large, are
    /// answered with an error.
    fn complete(&self, context: &mut Context<'_>) -> Option<(Parts, Bytes, oneshot::Sender<Answer>)> {
        let mut sent = lock(&self.sent);
        let mut index = 0;
        while let Some(request) = sent.requests.get_mut(index) {
            let Poll::Ready(written) = request.poll(context, self.limits.max_request_body) else {
                index += 1;
                continue;
            };
            let Request { head, collected, answer, .. } = sent.requests.remove(index);
            match written {
                Ok(()) => return Some((head, collected.into_bytes(), answer)),
                Err(error) => drop(answer.send(Err(error))),
            }
        }
        None
    }

    /// The response as the guest gets it.
    fn handed_over(&self, response: Response<Bytes>) -> Result<Response<WasiBody>, CallError> {
        let held = self.hold(response.body().len())?;
        Ok(response.map(|bytes| {
            let unread = move |frame| {
                // As long as there may be more to read.
                let _ = &held;
                frame
            };
            body::whole(bytes).map_frame(unread).map_err(|never| match never {}).boxed_unsync()
        }))
    }

    fn hold(&self, bytes: usize) -> Result<Held, CallError> {
        let mut held = Held::of(self.budget.clone());
        if held.grow(bytes) { Ok(held) } else { Err(outcome::out_of_memory(self.limits).into()) }
    }
}

impl Request {
    /// Takes what has been written; ready when that is all.
    fn poll(&mut self, context: &mut Context<'_>, limit: usize) -> Poll<Result<(), Error>> {
        loop {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(Ok(())),
            };
            // Trailers end here: the next component could not tell them from headers.
            if let Ok(data) = frame.into_data() {
                self.collected.push(data);
            }
            if self.collected.len() > limit {
                return Poll::Ready(Err(Error::HttpRequestBodySize(Some(limit as u64))));
            }
        }
    }
}

fn lock(sent: &Mutex<Sent>) -> MutexGuard<'_, Sent> {
    // Nothing here panics half-way through a change.
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}
