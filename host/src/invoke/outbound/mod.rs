//! Outgoing requests of guests: who may be called, and the connections that do it.
//!
//! ```text
//! request ─▶ admit ─▶ idle connection? ─▶ resolve ─▶ check all addresses ─▶ dial one ─▶ check the peer ─▶ TLS ─▶ send
//! ```
//!
//! Everything is denied that the tenant's list does not have; no redirect is followed, no proxy asked. Connections live on one
//! thread of the host ([`Network`]), not on workers: between two polls of a worker guests compute, and a
//! handshake or another tenant's answer must not wait for that. Each tenant has its own connections, sessions of TLS
//! included.

mod body;
mod destination;
mod dial;
mod exchange;
mod failure;
mod network;
mod pool;
#[cfg(test)]
mod tests;
mod trace;

use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use callgate_core::limits::{CallLimits, RequestLimits};
use callgate_core::origin::Origin;
use http::Method;
use tokio::task::JoinHandle;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::guest_log::LogBudget;
use crate::config::AllowedOrigin;
use destination::Destination;
use exchange::Exchange;
use failure::{Failure, Outcome};
pub use network::{Network, OutboundCount};
use network::{Counts, Io};
use pool::Pool;
pub(super) use trace::TraceHeaders;

/// The most that connecting takes, TLS included, whatever the guest allows.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What is still to be done once a response has begun: nothing, on the caller's side.
type Rest = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// A request on its way, as the host interfaces of WASI want it.
pub(super) type Sending = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Rest), Error>> + Send>;

/// The outgoing requests of one tenant.
pub struct Outbound {
    tenant: Arc<str>,
    log: Arc<LogBudget>,
    counts: Arc<Counts>,
    open: Option<Open>,
}

/// What a tenant needs that may call somebody.
struct Open {
    destinations: Box<[Destination]>,
    limits: OutboundLimits,
    pool: Arc<Pool>,
    io: Io,
}

/// Bounds on a tenant's outgoing requests.
#[derive(Clone, Copy, Debug)]
pub struct OutboundLimits {
    /// Connections at once, idle ones included.
    pub connections: usize,
    /// Bytes of one request's body.
    pub max_request_body: usize,
    /// Bytes of one response's body.
    pub max_response_body: usize,
    /// Headers of one response.
    pub max_headers: usize,
    /// Bytes of those.
    pub max_header_bytes: usize,
}

impl OutboundLimits {
    /// Those of a tenant's calls: what may come in as a record may go out as a request, and as many connections as calls.
    pub fn new(request: &RequestLimits, call: &CallLimits, max_in_flight: usize) -> Self {
        Self {
            connections: max_in_flight,
            max_request_body: request.max_body,
            max_response_body: call.max_response_body,
            max_headers: call.max_headers,
            max_header_bytes: call.max_header_bytes,
        }
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origins = self.open.iter().flat_map(|open| &open.destinations).map(|destination| &destination.origin);
        f.debug_tuple("Outbound").field(&self.tenant).field(&origins.collect::<Vec<_>>()).finish()
    }
}

impl Outbound {
    /// For handlers that may call nobody, and whose tries nobody counts.
    pub fn closed(tenant: Arc<str>, log: Arc<LogBudget>) -> Self {
        Self { tenant, log, counts: Arc::default(), open: None }
    }

    /// For a tenant that may call these, and nobody else.
    pub fn new(
        tenant: Arc<str>,
        origins: &[AllowedOrigin],
        limits: OutboundLimits,
        log: Arc<LogBudget>,
        network: &Network,
    ) -> Self {
        let open = (!origins.is_empty()).then(|| Open {
            destinations: origins.iter().map(|origin| Destination::new(origin, network)).collect(),
            limits,
            pool: Arc::new(Pool::new(limits.connections)),
            io: network.io(),
        });
        let counts = network.counts(&tenant);
        Self { tenant, log, counts, open }
    }

    /// Whether any request can succeed.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Sends a guest's request. Dropping what is returned gives it up.
    pub(super) fn send(
        self: &Arc<Self>,
        handler: &Arc<str>,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        trace: &TraceHeaders,
    ) -> Sending {
        let mut report = Report { outbound: self.clone(), handler: handler.clone(), ended: false };
        let (open, index) = match self.admit(&request) {
            Ok(admitted) => admitted,
            Err(failure) => return Box::new(ready(Err(report.failed(None, failure)))),
        };
        let origin = open.destinations[index].origin.clone();
        let exchange = Exchange::new(&origin, request, options.unwrap_or_default(), trace, &open.limits);
        let outbound = self.clone();
        let exchange = open.io.runtime.spawn(async move {
            match exchange.run(outbound, index).await {
                Ok(response) => {
                    report.answered(response.status());
                    Ok(response)
                }
                Err(failure) => Err(report.failed(Some(&origin), failure)),
            }
        });
        let exchange = AbortOnDrop(exchange);
        Box::new(async move {
            let response = exchange.await?;
            Ok((response, Box::new(ready(Ok(()))) as Rest))
        })
    }

    /// Who is called, if the tenant may.
    fn admit(&self, request: &http::Request<WasiBody>) -> Result<(&Open, usize), Failure> {
        let denied = |reason: String| Failure::new(Outcome::Denied, Error::HttpRequestDenied, reason);
        if request.method() == Method::CONNECT {
            return Err(denied("a handler may not ask for a tunnel".to_owned()));
        }
        let origin = Origin::of(request.uri()).map_err(|fault| denied(format!("the request's URI {}", fault.reason)))?;
        let found = self.open.as_ref().and_then(|open| {
            let index = open.destinations.iter().position(|destination| destination.origin == origin)?;
            Some((open, index))
        });
        found.ok_or_else(|| denied(format!("{origin} is not in `outbound` of the tenant {}", self.tenant)))
    }

    /// What a tenant needs that was admitted.
    fn opened(&self) -> &Open {
        self.open.as_ref().expect("nothing is admitted where nothing is open")
    }
}

/// Sees to it that each request is counted once, and each failure told.
struct Report {
    outbound: Arc<Outbound>,
    handler: Arc<str>,
    ended: bool,
}

impl Report {
    fn answered(&mut self, status: http::StatusCode) {
        self.count(Outcome::of(status));
    }

    /// Tells the operator why, within what the tenant may log, and returns what the guest is told.
    fn failed(&mut self, origin: Option<&Origin>, failure: Failure) -> Error {
        self.count(failure.outcome);
        let Outbound { tenant, log, .. } = &*self.outbound;
        let (handler, reason) = (&self.handler, &failure.reason);
        let origin = origin.map(ToString::to_string).unwrap_or_default();
        if log.admits(reason.len() + origin.len(), tenant, handler) {
            if matches!(failure.outcome, Outcome::Denied | Outcome::ForbiddenAddress) {
                tracing::warn!(
                    target: "callgate::outbound", code = "run.outbound-denied", %tenant, %handler, origin, reason,
                    "an outgoing request was denied: {reason}"
                );
            } else {
                tracing::warn!(
                    target: "callgate::outbound", code = "run.outbound-failed", %tenant, %handler, origin, reason,
                    "an outgoing request failed: {reason}"
                );
            }
        }
        failure.error
    }

    fn count(&mut self, outcome: Outcome) {
        self.ended = true;
        self.outbound.counts.add(outcome);
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if !self.ended {
            self.count(Outcome::Abandoned);
        }
    }
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Future for AbortOnDrop<Result<T, Error>> {
    type Output = Result<T, Error>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let ended = std::task::ready!(std::pin::Pin::new(&mut self.0).poll(context));
        // A task that panicked, or whose runtime has gone.
        std::task::Poll::Ready(ended.unwrap_or_else(|_| Err(Error::InternalError(None))))
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
