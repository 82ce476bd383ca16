//! Origins: whom an outgoing request is for. Scheme, host and port, in one normal form, so that two of them are the same
//! exactly where they are equal.
//!
//! There is one parser, for what the operator allows and for what a guest asks. It takes no form that another program
//! might read as another host: no user information, no percent-encoding, no number that a resolver would take for an
//! address, no zone.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::borrow::Cow;
use std::sync::Arc;

use http::Uri;

use crate::chain::names_next;

#[cfg(test)]
mod tests;

/// Bytes of a name, and of one of its labels, that DNS takes.
const NAME_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

/// Whom a request is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The scheme.
    pub scheme: Scheme,
    /// The host.
    pub host: Host,
    /// The port, never 0.
    pub port: u16,
}

/// The scheme of an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// With TLS.
    Https,
}

/// The host of an origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name as DNS has it: in ASCII, in lower case, without a dot at its end.
    Name(Arc<str>),
    /// An address.
    Address(IpAddr),
}

/// Why a text is no origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoOrigin {
    /// What is wrong with it. Holds nothing of the text.
    pub reason: &'static str,
    /// What to write instead.
    pub instead: &'static str,
}

const FORM: &str = "write https://HOST or http://HOST, and :PORT where it is not 443 or 80";

fn no_origin<T>(reason: &'static str, instead: &'static str) -> Result<T, NoOrigin> {
    Err(NoOrigin { reason, instead })
}

impl Origin {
    /// An origin as an operator writes it. The host's name may be in Unicode.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, NoOrigin> {
        let Some((scheme, rest)) = text.split_once("://") else { return no_origin("has no scheme", FORM) };
        if rest.contains(['/', '?', '#', '\\']) {
            return no_origin(
                "has more than scheme, host and port",
                "leave out the path, also a `/` alone: every path of an origin is allowed, or none",
            );
        }
        Self::from_parts(scheme, rest)
    }

    /// The origin that a request is for, by its URI's scheme and authority.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(uri: &Uri) -> Result<Self, NoOrigin> {
        match (uri.scheme_str(), uri.authority()) {
            (Some(scheme), Some(authority)) => Self::from_parts(scheme, authority.as_str()),
            _ => no_origin("has no scheme or no authority", FORM),
        }
    }

    fn from_parts(scheme: &str, authority: &str) -> Result<Self, NoOrigin> {
        let scheme = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
            _ if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
            _ => return no_origin("has a scheme other than http and https", FORM),
        };
        if authority.contains('@') {
            return no_origin("holds user information", "leave it out; a handler sends credentials in a header");
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            None => scheme.default_port(),
            Some(digits) => parse_port(digits)?,
        };
        Ok(Self { scheme, host: Host::parse(host)?, port })
    }

    /// Host and port, as a request names them: without the scheme's own port.
    pub fn authority(&self) -> String {
        match (&self.host, self.port == self.scheme.default_port()) {
            (host, true) => host.to_string(),
            (host, false) => format!("{host}:{}", self.port),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Host and port; an IPv6 address stands in brackets, which stay.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), NoOrigin> {
    let host_end = match (authority.starts_with('['), authority.find(']')) {
        (true, Some(end)) => end + 1,
        (true, None) => return no_origin("has a `[` without `]`", FORM),
        (false, _) => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(host_end);
    match rest.strip_prefix(':') {
        Some(port) if port.contains(':') => no_origin("has several colons", "put an IPv6 address into brackets: [::1]"),
        Some(port) => Ok((host, Some(port))),
        None if rest.is_empty() => Ok((host, None)),
        None => no_origin("has something after its host", FORM),
    }
}

fn parse_port(digits: &str) -> Result<u16, NoOrigin> {
    let plain = !digits.is_empty() && digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(port @ 1..) if plain => Ok(port),
        _ => no_origin("has a port that is none", "write a number from 1 to 65535, or leave it out with its colon"),
    }
}

impl Host {
    fn parse(host: &str) -> Result<Self, NoOrigin> {
        if let Some(address) = host.strip_prefix('[') {
            let address = address.strip_suffix(']').unwrap_or(address);
            return match address.parse::<Ipv6Addr>() {
                Ok(address) => Ok(Self::Address(IpAddr::V6(address))),
                Err(_) => no_origin(
                    "has brackets around what is no IPv6 address",
                    "write it as [2001:4860::1], without a zone",
                ),
            };
        }
        if host.contains('*') {
            return no_origin("has a wildcard", "list each host by itself");
        }
        if host.contains('%') {
            return no_origin("has a percent-encoded host", "write the host's name as it is");
        }
        let name = to_ascii(host)?;
        let name = name.strip_suffix('.').unwrap_or(&name);
        if ends_in_a_number(name) {
            return match name.parse::<Ipv4Addr>() {
                Ok(address) if host.is_ascii() => Ok(Self::Address(IpAddr::V4(address))),
                _ => no_origin(
                    "has a host that some would read as an address",
                    "write an address as four decimal numbers",
                ),
            };
        }
        if name.len() > NAME_BYTES || !name.split('.').all(is_label) {
            return no_origin("has a host that is no name", "use letters, digits, `-`, `_` and dots, as DNS does");
        }
        if names_next(name) {
            return no_origin("is the name by which middleware calls on", "remove it: it needs no permission");
        }
        Ok(Self::Name(name.into()))
    }
}

/// The name in lower case and, where it is in Unicode, as DNS has it.
fn to_ascii(host: &str) -> Result<Cow<'_, str>, NoOrigin> {
    if host.is_ascii() {
        return Ok(Cow::Owned(host.to_ascii_lowercase()));
    }
    let ascii = idna::domain_to_ascii_cow(host.as_bytes(), idna::AsciiDenyList::URL);
    ascii.or_else(|_| no_origin("has a host that is no name", "use a name that DNS can have"))
}

/// Whether resolvers may take it for an IPv4 address: `127.1`, `0x7f000001`, `2130706433`.
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_hexadecimal =
        last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    is_hexadecimal || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'))
}
