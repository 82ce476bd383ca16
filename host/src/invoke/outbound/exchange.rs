//! One request and its response.

use std::time::Duration;

use callgate_core::origin::Origin;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::body::{Lease, RequestBody, ResponseBody};
use super::dial::dial;
use super::failure::{Failure, Outcome};
use super::pool::Connection;
use super::trace::TraceHeaders;
use super::{CONNECT_TIMEOUT, Open, OutboundLimits};

/// Headers that are between two neighbours on the way, and so the host's own affair. Most of them a guest cannot set at all.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// See the module.
pub(super) struct Exchange {
    request: http::Request<RequestBody>,
    options: RequestOptions,
}

impl Exchange {
    /// The request as it goes out, to an origin that was admitted.
    pub(super) fn new(
        origin: &Origin,
        request: http::Request<WasiBody>,
        options: RequestOptions,
        trace: &TraceHeaders,
        limits: &OutboundLimits,
    ) -> Self {
        let (mut head, body) = request.into_parts();
        head.uri = origin_form(&head.uri);
        head.version = Version::HTTP_11;
        head.extensions.clear();
        set_headers(&mut head.headers, origin, trace);
        Self { request: http::Request::from_parts(head, RequestBody::new(body, limits.max_request_body)), options }
    }

    /// Sends it, on an idle connection or on a new one, and returns the response as soon as its head is there.
    pub(super) async fn run(self, open: &Open, index: usize) -> Result<http::Response<WasiBody>, Failure> {
        let Self { mut request, options } = self;
        let (pool, destination) = (&open.pool, &open.destinations[index]);
        let connect_timeout = options.connect_timeout.map_or(CONNECT_TIMEOUT, |wanted| wanted.min(CONNECT_TIMEOUT));

        let slot = timeout(connect_timeout, pool.slot()).await.map_err(|_| {
            let reason = format!("all {} connections of the tenant are in use", open.limits.connections);
            Failure::new(Outcome::ConnectionLimit, Error::ConnectionLimitReached, reason)
        })?;
        let lease = |connection, slot| {
            let (pool, runtime) = (pool.clone(), open.network.io().runtime.clone());
            Lease { pool, destination: index, connection, slot, runtime }
        };
        while let Some(mut connection) = pool.take(index, &slot) {
            match send(&mut connection, request, options.first_byte_timeout).await? {
                Ok(response) => return received(response, lease(connection, slot), &open.limits, &options),
                // The server closed it before anything was sent: no harm is done by another try.
                Err(unsent) => request = unsent,
            }
        }
        pool.make_room(&slot);
        let dialled = timeout(connect_timeout, dial(destination, &open.limits, open.network.io())).await;
        let reason = format!("no connection within {connect_timeout:?}");
        let mut connection = dialled.map_err(|_| Failure::timeout(Error::ConnectionTimeout, &reason))??;
        match send(&mut connection, request, options.first_byte_timeout).await? {
            Ok(response) => received(response, lease(connection, slot), &open.limits, &options),
            Err(_) => {
                let reason = "the server closed the connection at once";
                Err(Failure::new(Outcome::Protocol, Error::ConnectionTerminated, reason))
            }
        }
    }
}

/// Path and query: scheme and host are for proxies. A guest's `?q` alone is a query of `/`.
fn origin_form(uri: &Uri) -> Uri {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    target.parse().unwrap_or_else(|_| Uri::from_static("/"))
}

fn set_headers(headers: &mut HeaderMap, origin: &Origin, trace: &TraceHeaders) {
    HOP_BY_HOP.iter().for_each(|name| drop(headers.remove(name)));
    let host = HeaderValue::try_from(origin.authority()).expect("an authority is visible ASCII");
    // It takes the place of what the guest called the host.
    let _ = headers.try_insert(header::HOST, host);
    trace.add_to(headers);
}

/// The response's head, or the request if nothing of it was sent.
async fn send(
    connection: &mut Connection,
    request: http::Request<RequestBody>,
    first_byte: Option<Duration>,
) -> Result<Result<http::Response<Incoming>, http::Request<RequestBody>>, Failure> {
    let sending = connection.sender.try_send_request(request);
    let sent = match first_byte {
        None => sending.await,
        Some(first_byte) => timeout(first_byte, sending).await.map_err(|_| {
            let reason = format!("no response within {first_byte:?}, the guest's `first-byte-timeout`");
            Failure::timeout(Error::ConnectionReadTimeout, &reason)
        })?,
    };
    match sent {
        Ok(response) => Ok(Ok(response)),
        Err(mut error) => match error.take_message() {
            Some(unsent) => Ok(Err(unsent)),
            None => Err(Failure::exchanging(error.error())),
        },
    }
}

/// The response as the guest gets it.
fn received(
    response: http::Response<Incoming>,
    lease: Lease,
    limits: &OutboundLimits,
    options: &RequestOptions,
) -> Result<http::Response<WasiBody>, Failure> {
    let headers = response.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > limits.max_headers || bytes > limits.max_header_bytes {
        let reason = format!(
            "the response has {} headers of {bytes} bytes: the tenant's `max_headers` is {}, its `max_header_bytes` {}",
            headers.len(),
            limits.max_headers,
            limits.max_header_bytes
        );
        let error = Error::HttpResponseHeaderSectionSize(u32::try_from(bytes).ok());
        return Err(Failure::new(Outcome::TooLarge, error, reason));
    }
    let body = |body| ResponseBody::new(body, limits.max_response_body, lease, options.between_bytes_timeout);
    Ok(response.map(|incoming| body(incoming).boxed_unsync()))
}
