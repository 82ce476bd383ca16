//! What passes between the components of a chain: a middleware calls on with a request to a reserved name, and what it
//! wraps gets an ordinary request.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, Uri};

use crate::field;

#[cfg(test)]
mod tests;

/// The host that a middleware sends its request to. It is never looked up: top-level domains named `internal` are set
/// apart for private use.
pub const NEXT: &str = "next.callgate.internal";

/// Whether a request is for the next component of the chain: `http`, the reserved host, and no port but HTTP's own.
/// As in any URI, the host's case and a dot at its end mean nothing.
pub fn is_next(uri: &Uri) -> bool {
    let Some(authority) = uri.authority() else { return false };
    let ordinary = authority.port().is_none_or(|port| port.as_str() == "80") && !authority.as_str().contains('@');
    uri.scheme() == Some(&Scheme::HTTP) && ordinary && names_next(authority.host())
}

/// Whether a host is the reserved one in whatever spelling. No such request may leave the host or be looked up, whether
/// it is a good one or not.
pub fn names_next(host: &str) -> bool {
    host.trim_end_matches('.').eq_ignore_ascii_case(NEXT)
}

/// What each component of a chain is told of the record, whatever the one before it sent.
#[derive(Clone, Debug)]
pub struct Origin {
    authority: Option<Authority>,
    metadata: HeaderMap,
}

impl Origin {
    /// Of the request that the outermost component gets.
    pub fn of(first: &Request<Bytes>) -> Self {
        let metadata = first.headers().iter().filter(|(name, _)| field::is_metadata(name));
        let metadata = metadata.map(|(name, value)| (name.clone(), value.clone())).collect();
        Self { authority: first.uri().authority().cloned(), metadata }
    }

    /// The request that the next component gets: method, path, query, fields and body as sent. Scheme and authority are
    /// those of the first request; so are the fields that describe the record, whatever was sent under their names.
    /// What is about one connection is left out, and `content-length` is that of the body.
    pub fn next_request(&self, sent: http::request::Parts, body: Bytes) -> Request<Bytes> {
        let path = sent.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let mut parts = http::uri::Parts::default();
        parts.scheme = self.authority.as_ref().map(|_| Scheme::HTTP);
        parts.authority = self.authority.clone();
        parts.path_and_query = Some(path.clone());
        let mut headers = HeaderMap::with_capacity(sent.headers.len() + self.metadata.len() + 1);
        let own = sent.headers.iter().filter(|(name, _)| !field::is_metadata(name) && !field::is_hop_by_hop(name));
        for (name, value) in own.chain(&self.metadata) {
            // Refused only beyond the 24,576 fields that such a map can hold, which no limit on headers lets come.
            let _ = headers.try_append(name, value.clone());
        }
        headers.insert(CONTENT_LENGTH, body.len().into());

        let mut request = Request::new(body);
        *request.method_mut() = sent.method;
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_else(|_| Uri::from(path));
        *request.headers_mut() = headers;
        request
    }
}
