//! A component of WASI 0.2: its instance, and one call of it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use callgate_core::failure::Failure;
use callgate_core::limits::CallLimits;
use http::{Request, Response};
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};

use super::body::{self, Collector, Outparam};
use super::guest::Guest;

/// A store, and in it an instance once it has been called.
pub(super) struct Instance {
    store: Store<Guest>,
    proxy: Option<Proxy>,
}

impl Instance {
    /// One that is made by its first call, within that call's limits.
    pub(super) fn new(store: Store<Guest>) -> Self {
        Self { store, proxy: None }
    }

    pub(super) fn store(&mut self) -> &mut Store<Guest> {
        &mut self.store
    }

    /// Calls the component. It ends when the guest has returned.
    ///
    /// # Errors
    ///
    /// The outer ones are wasmtime's: the guest, or what the host does for it. The inner ones are about the response.
    pub(super) async fn call(
        &mut self,
        component: &ProxyPre<Guest>,
        request: Request<Bytes>,
        limits: &CallLimits,
    ) -> wasmtime::Result<Result<Response<Bytes>, Failure>> {
        let outparam = Outparam::default();
        let mut response = Collector::new(outparam.clone(), limits);
        let mut guest = pin!(self.run(component, request, outparam));
        poll_fn(|context| match guest.as_mut().poll(context) {
            Poll::Ready(returned) => Poll::Ready(returned.map(|()| response.finish())),
            Poll::Pending => match response.take() {
                Ok(()) => Poll::Pending,
                Err(failure) => Poll::Ready(Ok(Err(failure))),
            },
        })
        .await
    }

    /// All that runs the guest's code: its start functions, and the handler.
    async fn run(
        &mut self,
        component: &ProxyPre<Guest>,
        request: Request<Bytes>,
        outparam: Outparam,
    ) -> wasmtime::Result<()> {
        let proxy = match self.proxy.take() {
            Some(proxy) => proxy,
            None => component.instantiate_async(&mut self.store).await?,
        };
        let proxy = self.proxy.insert(proxy);
        let mut http = self.store.data_mut().http();
        let request = http.new_incoming_request(Scheme::Http, request.map(body::whole))?;
        let out = http.new_response_outparam_from_callback(move |answer| outparam.set(answer))?;
        proxy.wasi_http_incoming_handler().call_handle(&mut self.store, request, out).await
    }
}
