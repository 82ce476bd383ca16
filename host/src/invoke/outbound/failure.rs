//! How an outgoing request ends, for the guest, the metrics and the operator.

use std::error::Error as _;
use std::io::{self, ErrorKind};

use http::StatusCode;
use wasmtime_wasi_http::Error;

/// How a request has ended, as metrics count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Informational,
    Success,
    Redirection,
    ClientError,
    ServerError,
    /// Not in the tenant's list, or nothing that could be.
    Denied,
    /// In the list, but at an address that it may not be reached at.
    ForbiddenAddress,
    /// The name has no address.
    Dns,
    /// No connection.
    Connect,
    /// No secure connection.
    Tls,
    /// All of the tenant's connections are in use.
    ConnectionLimit,
    /// A body or a head is larger than the tenant may send or receive.
    TooLarge,
    /// No answer in the time that the guest gives it.
    Timeout,
    /// The connection was lost, or what came is not HTTP.
    Protocol,
    /// The call ended before.
    Abandoned,
}

impl Outcome {
    pub(super) const ALL: [Self; 15] = [
        Self::Informational,
        Self::Success,
        Self::Redirection,
        Self::ClientError,
        Self::ServerError,
        Self::Denied,
        Self::ForbiddenAddress,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::ConnectionLimit,
        Self::TooLarge,
        Self::Timeout,
        Self::Protocol,
        Self::Abandoned,
    ];

    pub(super) fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            ..200 => Self::Informational,
            200..300 => Self::Success,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "1xx",
            Self::Success => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::Denied => "denied",
            Self::ForbiddenAddress => "forbidden-address",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::ConnectionLimit => "connection-limit",
            Self::TooLarge => "too-large",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Why there is no response.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) outcome: Outcome,
    /// What the guest is told.
    pub(super) error: Error,
    /// What the operator is told. Nothing of paths, headers and bodies, which may hold secrets.
    pub(super) reason: String,
}

impl Failure {
    pub(super) fn new(outcome: Outcome, error: Error, reason: impl Into<String>) -> Self {
        Self { outcome, error, reason: reason.into() }
    }

    /// The peer was not reached.
    pub(super) fn connecting(error: &io::Error) -> Self {
        let code = match error.kind() {
            ErrorKind::ConnectionRefused => Error::ConnectionRefused,
            ErrorKind::TimedOut => Error::ConnectionTimeout,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Error::DestinationIpUnroutable,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => Error::ConnectionTerminated,
            _ => Error::DestinationUnavailable,
        };
        Self::new(Outcome::Connect, code, format!("no connection: {error}"))
    }

    /// The peer was reached, and is not to be trusted or does not speak TLS.
    pub(super) fn securing(error: &io::Error) -> Self {
        let code = match error.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                Error::TlsCertificateError
            }
            Some(rustls::Error::AlertReceived(alert)) => {
                Error::TlsAlertReceived { alert_id: Some(u8::from(*alert)), alert_message: Some(format!("{alert:?}")) }
            }
            _ => Error::TlsProtocolError,
        };
        Self::new(Outcome::Tls, code, format!("no secure connection: {error}"))
    }

    /// The peer was reached, and the exchange of request and response broke off.
    pub(super) fn exchanging(error: &hyper::Error) -> Self {
        if let Some(TooLarge(limit)) = source(error) {
            let reason = format!("the request's body is larger than {limit} bytes: the tenant's `max_request_body`");
            return Self::new(Outcome::TooLarge, Error::HttpRequestBodySize(Some(*limit as u64)), reason);
        }
        if error.is_parse_too_large() {
            let reason = "the response's head is larger than the tenant's `max_headers` or `max_header_bytes`";
            return Self::new(Outcome::TooLarge, Error::HttpResponseHeaderSectionSize(None), reason);
        }
        let code = match source::<io::Error>(error).map(io::Error::kind) {
            Some(ErrorKind::UnexpectedEof) => Error::HttpResponseIncomplete,
            Some(_) => Error::ConnectionTerminated,
            None if error.is_incomplete_message() => Error::HttpResponseIncomplete,
            None => Error::HttpProtocolError,
        };
        Self::new(Outcome::Protocol, code, format!("the exchange broke off: {}", Chain(error)))
    }

    pub(super) fn timeout(error: Error, reason: &str) -> Self {
        Self::new(Outcome::Timeout, error, reason)
    }
}

/// A request's body is larger than so many bytes.
#[derive(Debug, thiserror::Error)]
#[error("the body is larger than {0} bytes")]
pub(super) struct TooLarge(pub(super) usize);

fn source<E: std::error::Error + 'static>(error: &hyper::Error) -> Option<&E> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// An error with its causes.
struct Chain<'a>(&'a hyper::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
