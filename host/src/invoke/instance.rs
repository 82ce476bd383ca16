//! An instance of a component, and the store that it lives in.

use bytes::Bytes;
use callgate_core::failure::Failure;
use callgate_core::limits::CallLimits;
use http::{Request, Response};
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::Proxy;
use wasmtime_wasi_http::p3::bindings::Service;

use super::guest::Guest;
use super::sandbox::Linked;
use super::{call_p2, call_p3};

/// See the module. It is made by its first call, within that call's limits.
pub(super) struct Instance {
    pub(super) store: Store<Guest>,
    exports: Option<Exports>,
}

/// What can be called.
pub(super) enum Exports {
    P2(Proxy),
    P3(Service),
}

impl Instance {
    /// One that is still to be made.
    pub(super) fn new(store: Store<Guest>) -> Self {
        Self { store, exports: None }
    }

    /// Calls it: the instance of this component.
    ///
    /// # Errors
    ///
    /// The outer one is the guest's end or the host's, the inner one what is wrong with the response.
    pub(super) async fn call(
        &mut self,
        component: &Linked,
        request: Request<Bytes>,
        limits: &CallLimits,
    ) -> wasmtime::Result<Result<Response<Bytes>, Failure>> {
        let exports = match self.exports.take() {
            Some(exports) => exports,
            None => component.instantiate(&mut self.store).await?,
        };
        match self.exports.insert(exports) {
            Exports::P2(guest) => call_p2::call(&mut self.store, guest, request, limits).await,
            // On the heap, for it is large, and every call would have room for it.
            Exports::P3(guest) => Box::pin(call_p3::call(&mut self.store, guest, request, limits)).await,
        }
    }
}
