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
mod trace;

use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use callgate_core::limits::CallLimits;
use callgate_core::origin::Origin;
use http::{HeaderMap, Method, StatusCode};
use tokio::task::JoinHandle;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::Callable;
use crate::config::AllowedOrigin;
use destination::Destination;
use exchange::Exchange;
use failure::{Failure, Outcome};
use network::Counts;
pub use network::{Network, OutboundCount};
use pool::Pool;
use trace::TraceHeaders;

/// The most that connecting takes, TLS included, whatever the guest allows.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What is still to be done once a response has begun: nothing, on the caller's side.
type Rest = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// A request on its way, as the host interfaces of WASI want it.
pub(super) type Sending = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Rest), Error>> + Send>;

/// The outgoing requests of one tenant.
#[derive(Default)]
pub struct Outbound {
    counts: Arc<Counts>,
    open: Option<Arc<Open>>,
}

/// What a tenant needs that may call somebody.
struct Open {
    destinations: Box<[Destination]>,
    limits: OutboundLimits,
    pool: Arc<Pool>,
    // Its thread lives as long as somebody may send.
    network: Network,
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
    pub fn new(call: &CallLimits, max_in_flight: usize) -> Self {
        Self {
            connections: max_in_flight,
            max_request_body: call.max_request_body,
            max_response_body: call.max_response_body,
            max_headers: call.max_headers,
            max_header_bytes: call.max_header_bytes,
        }
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origins = self.open.iter().flat_map(|open| &open.destinations).map(|destination| &destination.origin);
        f.debug_tuple("Outbound").field(&origins.collect::<Vec<_>>()).finish()
    }
}

impl Outbound {
    /// For handlers that may call nobody, and whose tries nobody counts.
    pub fn closed() -> Self {
        Self::default()
    }

    /// For a tenant that may call these, and nobody else.
    pub fn new(tenant: &Arc<str>, origins: &[AllowedOrigin], limits: OutboundLimits, network: &Network) -> Self {
        let open = || Open {
            destinations: origins.iter().map(|origin| Destination::new(origin, network)).collect(),
            limits,
            pool: Arc::new(Pool::new(limits.connections)),
            network: network.clone(),
        };
        let open = (!origins.is_empty()).then(|| Arc::new(open()));
        Self { counts: network.counts(tenant), open }
    }

    /// Who is called, if the tenant may.
    fn admit(&self, request: &http::Request<WasiBody>) -> Result<(&Arc<Open>, usize), Failure> {
        let denied = |reason: String| Failure::new(Outcome::Denied, Error::HttpRequestDenied, reason);
        if request.method() == Method::CONNECT {
            return Err(denied("a handler may not ask for a tunnel".to_owned()));
        }
        let origin = Origin::of(request.uri()).map_err(|fault| denied(format!("its URI {}", fault.reason)))?;
        let found = self.open.as_ref().and_then(|open| {
            let index = open.destinations.iter().position(|destination| destination.origin == origin)?;
            Some((open, index))
        });
        found.ok_or_else(|| denied(format!("the tenant's `outbound` does not have {origin}")))
    }
}

/// The way out of one component of a call.
pub(super) struct Outgoing {
    outbound: Arc<Outbound>,
    trace: TraceHeaders,
}

impl Outgoing {
    /// For a component that is called with these headers: what it asks of others belongs to the trace that they name.
    pub(super) fn of_call(callable: &Callable, headers: &HeaderMap) -> Self {
        let outbound = callable.outbound.clone();
        let trace = if outbound.open.is_some() { TraceHeaders::of(headers) } else { TraceHeaders::default() };
        Self { outbound, trace }
    }

    /// For a component that is only tried.
    pub(super) fn closed() -> Self {
        Self { outbound: Arc::new(Outbound::closed()), trace: TraceHeaders::default() }
    }

    /// Sends a guest's request. Dropping what is returned gives it up.
    pub(super) fn send(
        &self,
        callable: &Arc<Callable>,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Sending {
        let mut report = Report { callable: callable.clone(), counts: self.outbound.counts.clone(), ended: false };
        let (open, index) = match self.outbound.admit(&request) {
            Ok(admitted) => admitted,
            Err(failure) => return Box::new(ready(Err(report.failed(None, failure)))),
        };
        let origin = open.destinations[index].origin.clone();
        let exchange = Exchange::new(&origin, request, options.unwrap_or_default(), &self.trace, &open.limits);
        let open = open.clone();
        let exchange = AbortOnDrop(open.network.io().runtime.clone().spawn(async move {
            match exchange.run(&open, index).await {
                Ok(response) => {
                    report.answered(response.status());
                    Ok(response)
                }
                Err(failure) => Err(report.failed(Some(&origin), failure)),
            }
        }));
        Box::new(async move { Ok((exchange.await?, Box::new(ready(Ok(()))) as Rest)) })
    }
}

/// Sees to it that each request is counted once, and each failure told.
struct Report {
    callable: Arc<Callable>,
    counts: Arc<Counts>,
    ended: bool,
}

impl Report {
    fn answered(&mut self, status: StatusCode) {
        self.count(Outcome::of(status));
    }

    /// Tells the operator why, within what the tenant may log, and returns what the guest is told.
    fn failed(&mut self, origin: Option<&Origin>, failure: Failure) -> Error {
        let Failure { outcome, error, reason } = failure;
        self.count(outcome);
        let Callable { tenant, handler, log, .. } = &*self.callable;
        let origin = origin.map(ToString::to_string).unwrap_or_default();
        if !log.admits(reason.len() + origin.len(), tenant, handler) {
            return error;
        }
        if matches!(outcome, Outcome::Denied | Outcome::ForbiddenAddress) {
            tracing::warn!(
                target: "callgate::outbound", code = "run.outbound-denied", %tenant, %handler, origin, reason,
                "an outgoing request was denied"
            );
        } else {
            tracing::warn!(
                target: "callgate::outbound", code = "run.outbound-failed", %tenant, %handler, origin, reason,
                "an outgoing request failed"
            );
        }
        error
    }

    fn count(&mut self, outcome: Outcome) {
        self.ended = true;
        self.counts.add(outcome);
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

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // An error is a task that panicked, or whose runtime has gone.
        let ended = std::task::ready!(Pin::new(&mut self.0).poll(context));
        Poll::Ready(ended.unwrap_or_else(|_| Err(Error::InternalError(None))))
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
