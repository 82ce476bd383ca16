//! An origin that a tenant may call: where it is, and how it is trusted.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use callgate_core::address;
use callgate_core::origin::{Host, Origin, Scheme};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::Error;

use super::failure::{Failure, Outcome};
use super::network::{Io, Network};
use crate::config::AllowedOrigin;

/// See the module.
pub(super) struct Destination {
    pub(super) origin: Origin,
    pub(super) private: bool,
    pub(super) tls: Option<Tls>,
    resolved: Arc<Mutex<Option<Resolved>>>,
}

/// How to speak TLS with it. Sessions are kept here, so no other tenant ever resumes one.
pub(super) struct Tls {
    pub(super) connector: TlsConnector,
    pub(super) name: ServerName<'static>,
}

/// What the resolver has said last.
struct Resolved {
    at: Instant,
    answer: Answer,
}

type Answer = Result<Arc<[IpAddr]>, Arc<str>>;

impl Destination {
    pub(super) fn new(allowed: &AllowedOrigin, network: &Network) -> Self {
        let AllowedOrigin { origin, private, authorities } = allowed;
        let tls = (origin.scheme == Scheme::Https).then(|| {
            let authorities = authorities.clone().unwrap_or_else(|| network.authorities());
            Tls { connector: TlsConnector::from(Arc::new(client(authorities))), name: server_name(&origin.host) }
        });
        Self { origin: origin.clone(), private: *private, tls, resolved: Arc::default() }
    }

    /// Where it may be dialled: every address that its name has, provided that it may be reached at each of them.
    pub(super) async fn addresses(&self, io: &Io) -> Result<Arc<[IpAddr]>, Failure> {
        let addresses = match &self.origin.host {
            Host::Address(address) => Arc::from([*address]),
            Host::Name(name) => self.resolve(name, io).await.map_err(|reason| {
                let error = Error::DnsError { rcode: None, info_code: None };
                Failure::new(Outcome::Dns, error, format!("the name has no address: {reason}"))
            })?,
        };
        self.check(&addresses)?;
        Ok(addresses)
    }

    /// Whether it may be reached at all of these addresses.
    pub(super) fn check(&self, addresses: &[IpAddr]) -> Result<(), Failure> {
        address::check(addresses, self.private).map_err(|forbidden| {
            let hint = if forbidden.can_be_opened { "; `private = true` at the origin would allow it" } else { "" };
            Failure::new(Outcome::ForbiddenAddress, Error::DestinationIpProhibited, format!("{forbidden}{hint}"))
        })
    }

    async fn resolve(&self, name: &Arc<str>, io: &Io) -> Answer {
        let mut resolved = self.resolved.clone().lock_owned().await;
        if let Some(Resolved { at, answer }) = &*resolved
            && at.elapsed() < io.resolved_for
        {
            return answer.clone();
        }
        let (resolver, name) = (io.resolver.clone(), name.clone());
        // On its own, with the lock: the resolver cannot be stopped, and while it thinks nobody asks it the same again,
        // though the call that wanted to know may have ended long ago.
        let asked = tokio::spawn(async move {
            let answer = match spawn_blocking(move || resolver(&name)).await {
                Ok(Ok(addresses)) if addresses.is_empty() => Err("the resolver found none".into()),
                Ok(Ok(addresses)) => Ok(addresses.into()),
                Ok(Err(error)) => Err(error.to_string().into()),
                Err(error) => Err(error.to_string().into()),
            };
            *resolved = Some(Resolved { at: Instant::now(), answer: Answer::clone(&answer) });
            answer
        });
        asked.await.unwrap_or_else(|error| Err(error.to_string().into()))
    }
}

fn client(authorities: Arc<RootCertStore>) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has what TLS 1.2 and 1.3 need")
        .with_root_certificates(authorities)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    client
}

fn server_name(host: &Host) -> ServerName<'static> {
    match host {
        Host::Address(address) => ServerName::from(*address),
        Host::Name(name) => ServerName::try_from(name.to_string()).expect("the name of an origin is one of DNS"),
    }
}
