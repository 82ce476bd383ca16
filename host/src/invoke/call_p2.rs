//! The call of a guest of WASI 0.2: a function that returns when all is done, and sets its answer somewhere on the way.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use callgate_core::failure::Failure;
use callgate_core::limits::CallLimits;
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::Proxy;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::{WasiBody, WasiHttpView};

use super::body::{self, Collector};
use super::guest::Guest;

/// Calls the guest, and collects its response.
///
/// # Errors
///
/// The outer one is the guest's end or the host's, the inner one what is wrong with the response.
pub(super) async fn call(
    store: &mut Store<Guest>,
    guest: &Proxy,
    request: http::Request<Bytes>,
    limits: &CallLimits,
) -> wasmtime::Result<Result<http::Response<Bytes>, Failure>> {
    let outparam = Outparam::default();
    let mut response = Collector::new(limits);
    let mut guest = pin!(run(store, guest, request, outparam.clone()));
    poll_fn(|context| {
        let returned = guest.as_mut().poll(context);
        // Only when the guest has run can there be more of the response, so nothing has to be woken by it.
        let taken = take(&outparam, &mut response);
        match returned {
            Poll::Ready(returned) => Poll::Ready(returned.map(|()| taken.and_then(|()| response.finish()))),
            Poll::Pending => match taken {
                Ok(()) => Poll::Pending,
                Err(failure) => Poll::Ready(Ok(Err(failure))),
            },
        }
    })
    .await
}

/// Runs the guest's code.
async fn run(
    store: &mut Store<Guest>,
    guest: &Proxy,
    request: http::Request<Bytes>,
    outparam: Outparam,
) -> wasmtime::Result<()> {
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(Scheme::Http, request.map(body::whole))?;
    let out = http.new_response_outparam_from_callback(move |answer| outparam.set(answer))?;
    guest.wasi_http_incoming_handler().call_handle(store, request, out).await
}

fn take(outparam: &Outparam, response: &mut Collector) -> Result<(), Failure> {
    if let Some(answer) = outparam.take() {
        response.begin(answer)?;
    }
    response.take(&mut Context::from_waker(Waker::noop())).map(|_| ())
}

/// What a guest sets as its answer.
type Answer = Result<http::Response<WasiBody>, ErrorCode>;

/// Where a guest's answer arrives while it runs.
#[derive(Clone, Default)]
struct Outparam(Arc<Mutex<Option<Answer>>>);

impl Outparam {
    fn set(&self, answer: Answer) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }

    fn take(&self) -> Option<Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
