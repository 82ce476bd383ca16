//! How a component calls on: its request to the reserved host becomes a call of the next component of its chain.
//!
//! Both bodies are collected on their way, within the tenant's limits. So the one component is never called with half a
//! request, nor blamed for a body that the other broke off, and what they say to each other does not depend on which
//! version of WASI each speaks.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use http::request::Parts;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use wasmtime_wasi_http::{Error, WasiBody};

use super::CallError;
use super::body::{self, Chunks};

/// What comes of a request to the next component, in the terms of `wasi:http`.
type Answer = Result<http::Response<WasiBody>, Error>;

/// A call of the next component.
pub(super) type Call<'a> = LocalBoxFuture<'a, Result<http::Response<Bytes>, CallError>>;

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
        // Dropped without an answer only together with the guest.
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
    max_request_body: usize,
    running: Option<(oneshot::Sender<Answer>, Call<'a>)>,
}

impl<'a> NextCalls<'a> {
    /// Both ends, for a guest that may call on so many times.
    pub(super) fn new(max_calls: u32, max_request_body: usize) -> (Next, Self) {
        let sent = Arc::new(Mutex::new(Sent { left: max_calls, requests: Vec::new() }));
        (Next(sent.clone()), Self { sent, max_request_body, running: None })
    }

    /// Goes on with the calls, each begun by `call`. To be polled whenever the guest has run. Ready while nothing is
    /// going on, and when a call has failed.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        call: impl Fn(Parts, Bytes) -> Call<'a>,
    ) -> Poll<Result<(), CallError>> {
        loop {
            if let Some((_, running)) = &mut self.running {
                let Poll::Ready(ended) = running.as_mut().poll(context) else { return Poll::Pending };
                let response = match ended {
                    Ok(response) => {
                        response.map(|bytes| body::whole(bytes).map_err(|never| match never {}).boxed_unsync())
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                };
                if let Some((answer, _)) = self.running.take() {
                    // A guest need not wait for it.
                    let _ = answer.send(Ok(response));
                }
            }
            let Some((answer, head, body)) = self.complete(context) else { return Poll::Ready(Ok(())) };
            self.running = Some((answer, call(head, body)));
        }
    }

    /// The first request that the guest has written to its end.
    fn complete(&mut self, context: &mut Context<'_>) -> Option<(oneshot::Sender<Answer>, Parts, Bytes)> {
        let mut sent = lock(&self.sent);
        let mut index = 0;
        while let Some(request) = sent.requests.get_mut(index) {
            let written = request.poll(context, self.max_request_body);
            let Poll::Ready(written) = written else {
                index += 1;
                continue;
            };
            let Request { head, collected, answer, .. } = sent.requests.remove(index);
            match written {
                Ok(()) => return Some((answer, head, collected.into_bytes())),
                Err(error) => drop(answer.send(Err(error))),
            }
        }
        None
    }
}

impl Request {
    /// Takes what has been written; ready when that is all.
    fn poll(&mut self, context: &mut Context<'_>, limit: usize) -> Poll<Result<(), Error>> {
        loop {
            let frame = match std::task::ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(Ok(())),
            };
            // Trailers end here: nobody behind could tell them from headers.
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
