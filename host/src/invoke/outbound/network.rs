//! The thread on which the connections of all tenants live, and what they share besides: the system's certificate
//! authorities, the resolver, and the counts.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::RootCertStore;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::failure::Outcome;
use crate::invoke::HostError;

/// Threads on which the system's resolver is asked: it cannot be asked otherwise, nor be hurried. One origin takes one at
/// most, so a name server that does not answer holds up only as many.
const RESOLVERS: usize = 64;

/// How long the answer of the resolver counts: many dials at once ask once.
const RESOLVED_FOR: Duration = Duration::from_secs(1);

/// Finds the addresses of a name. It may block.
pub(in crate::invoke) type Resolver = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// What outgoing requests of all tenants share. Clones share one thread, which ends with the last of them.
#[derive(Clone)]
pub struct Network(Arc<Shared>);

struct Shared {
    io: Io,
    authorities: OnceLock<Arc<RootCertStore>>,
    counts: Mutex<BTreeMap<Arc<str>, Arc<Counts>>>,
    // The thread ends when this is dropped.
    _stop: oneshot::Sender<Infallible>,
}

/// Where connections live, and who is asked for addresses.
pub(super) struct Io {
    pub(super) runtime: Handle,
    pub(super) resolver: Resolver,
    pub(super) resolved_for: Duration,
}

impl Network {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses a thread or a poller.
    pub fn start() -> Result<Self, HostError> {
        Self::with(Arc::new(ask_the_system), RESOLVED_FOR)
    }

    /// The same with another resolver, whose answers count for so long.
    pub(in crate::invoke) fn with(resolver: Resolver, resolved_for: Duration) -> Result<Self, HostError> {
        let fault = |error: io::Error| HostError::new("the thread for outgoing requests cannot be started", error);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(RESOLVERS)
            .thread_name("resolver")
            .build()
            .map_err(fault)?;
        let io = Io { runtime: runtime.handle().clone(), resolver, resolved_for };
        let (stop, stopped) = oneshot::channel::<Infallible>();
        let run = move || {
            // An error is what it waits for: nothing is ever sent.
            let _ = runtime.block_on(stopped);
            // A resolver that does not answer must not hold the process.
            runtime.shutdown_background();
        };
        thread::Builder::new().name("outbound".into()).spawn(run).map_err(fault)?;
        Ok(Self(Arc::new(Shared { io, authorities: OnceLock::new(), counts: Mutex::default(), _stop: stop })))
    }

    /// Where connections live.
    pub(super) fn io(&self) -> &Io {
        &self.0.io
    }

    /// The certificate authorities that the system trusts, read once.
    pub(super) fn authorities(&self) -> Arc<RootCertStore> {
        self.0.authorities.get_or_init(|| Arc::new(of_the_system())).clone()
    }

    /// A tenant's counts. They outlive its configuration, so that they only ever grow.
    pub(super) fn counts(&self, tenant: &Arc<str>) -> Arc<Counts> {
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.entry(tenant.clone()).or_default().clone()
    }

    /// How the outgoing requests of each tenant have ended so far; what has never happened is left out.
    pub fn outcomes(&self) -> Vec<OutboundCount> {
        let counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = |(tenant, counts): (&Arc<str>, &Arc<Counts>)| {
            let counted = Outcome::ALL.iter().map(|outcome| OutboundCount {
                tenant: tenant.clone(),
                outcome: outcome.as_str(),
                requests: counts.of(*outcome),
            });
            counted.filter(|count| count.requests > 0).collect::<Vec<_>>()
        };
        counts.iter().flat_map(of_tenant).collect()
    }
}

/// So many outgoing requests of a tenant have ended so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundCount {
    /// The tenant.
    pub tenant: Arc<str>,
    /// The class of the status, or why there was no response.
    pub outcome: &'static str,
    /// Since the start.
    pub requests: u64,
}

/// How a tenant's requests have ended.
#[derive(Default)]
pub(super) struct Counts([AtomicU64; Outcome::ALL.len()]);

impl Counts {
    pub(super) fn add(&self, outcome: Outcome) {
        self.0[outcome as usize].fetch_add(1, Relaxed);
    }

    fn of(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize].load(Relaxed)
    }
}

fn ask_the_system(name: &str) -> io::Result<Vec<IpAddr>> {
    // Search domains count, as for every other program: in Kubernetes `stock.shop.svc` is found by one.
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

fn of_the_system() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    let mut authorities = RootCertStore::empty();
    // Stores hold certificates of all ages; one that cannot be used trusts nobody.
    authorities.add_parsable_certificates(found.certs);
    if authorities.is_empty() {
        let reason = found.errors.first().map(ToString::to_string).unwrap_or_default();
        tracing::warn!(
            target: "callgate::outbound", code = "run.no-certificate-authorities", reason,
            "the system has no certificate authorities, so no handler can call an origin with https: install ca-certificates, or \
             name a `ca_file` at the origin"
        );
    }
    authorities
}
