//! The call of a guest of WASI 0.3: a task that returns its response, and may go on after that: it writes the body, and
//! does whatever it has spawned.
//!
//! The call ends when the task has ended *and* the body is complete, so what a guest begins for a record is done before the
//! record is, and a trap after a complete response is a trap. Which of the two comes last is up to the guest: a body
//! that it passes on from somewhere else may well come in after it has ended.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use callgate_core::failure::Failure;
use callgate_core::limits::CallLimits;
use wasmtime::Store;
use wasmtime::component::Accessor;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::Service;

use super::body::{self, Collector};
use super::guest::Guest;

/// Calls the guest, and collects its response.
///
/// # Errors
///
/// The outer one is the guest's end or the host's, the inner one what is wrong with the response.
pub(super) async fn call(
    store: &mut Store<Guest>,
    service: &Service,
    request: http::Request<Bytes>,
    limits: &CallLimits,
) -> wasmtime::Result<Result<http::Response<Bytes>, Failure>> {
    let response = Collector::new(limits);
    // The store's event loop: it runs the guest's tasks, and this closure beside them. A trap of any task ends it.
    store.run_concurrent(async |guest| handle(guest, service, request, response).await).await?
}

async fn handle(
    guest: &Accessor<Guest>,
    service: &Service,
    request: http::Request<Bytes>,
    mut response: Collector,
) -> wasmtime::Result<Result<http::Response<Bytes>, Failure>> {
    // What else comes of it would tell what the guest makes of the request's body, which is its own affair.
    let request = guest.with(|mut guest| Request::from_http(guest.get().http().hooks, request.map(body::whole)).0);
    let answer = match service.handle(guest, request).await? {
        Ok(answer) => Ok(guest.with(|guest| answer.into_http(guest, async { Ok(()) }))?),
        Err(code) => Err(code),
    };
    if let Err(failure) = response.begin(answer) {
        return Ok(Err(failure));
    }
    let done = poll_fn(|context| {
        let body = match response.take(context) {
            Ok(body) => body,
            Err(failure) => return Poll::Ready(Err(failure)),
        };
        let tasks = guest.poll_no_interesting_tasks(context);
        if body.is_ready() && tasks.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    });
    Ok(done.await.and_then(|()| response.finish()))
}
