//! The handler that a middleware of WASI 0.3 imports (world `wasi:http/middleware`): the next component of its chain.
//!
//! It is a shorter way to say what every component may say: a request to the reserved host.

use callgate_core::chain::NEXT;
use http::uri::{Authority, PathAndQuery, Scheme};
use wasmtime::component::{Accessor, Linker, Resource};
use wasmtime_wasi_http::p3::bindings::http::client::HostWithStore;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{Request, Response};
use wasmtime_wasi_http::{WasiHttp, WasiHttpView};

use super::guest::Guest;

/// The interface; components that import it in a later patch version get this one.
const HANDLER: &str = "wasi:http/handler@0.3.0";

type Answer = Result<Resource<Response>, ErrorCode>;

/// Links the import.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.instance(HANDLER)?.func_wrap_concurrent(
        "handle",
        |guest: &Accessor<Guest>, (request,): (Resource<Request>,)| {
            Box::pin(async move { Ok((handle(guest, request).await?,)) })
        },
    )
}

async fn handle(guest: &Accessor<Guest>, request: Resource<Request>) -> wasmtime::Result<Answer> {
    guest.with(|mut guest| {
        let request = guest.get().http().table.get_mut(&request)?;
        request.scheme = Some(Scheme::HTTP);
        request.authority = Some(Authority::from_static(NEXT));
        request.path_with_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
        wasmtime::error::Ok(())
    })?;
    match WasiHttp::send(&guest.with_getter::<WasiHttp>(Guest::http), request).await {
        Ok(response) => Ok(Ok(response)),
        Err(error) => Ok(Err(error.downcast()?)),
    }
}
