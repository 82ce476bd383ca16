//! The request's URI: the route's operation and query, filled from the record.

use bytes::Bytes;
use http::Uri;

use crate::failure::{Failure, Reason};
use crate::percent;
use crate::record::{self, Record};
use crate::route::{Binding, Operation, PathPart};

/// `http://<handler><path>?<query>`. Whatever comes from the record is percent-encoded once, all but the unreserved
/// characters, so a parameter stays within its segment and a query value within its pair.
pub(super) fn uri(
    record: &Record,
    handler: &str,
    operation: &Operation,
    query: &[(String, Binding)],
) -> Result<Uri, Failure> {
    let mut text = String::with_capacity(128);
    text.push_str("http://");
    text.push_str(handler);
    for part in &operation.path {
        match part {
            PathPart::Literal(literal) => text.push_str(literal),
            PathPart::Parameter { name, from } => {
                percent::encode(&mut text, segment(record, name, from)?.as_bytes(), percent::unreserved);
            }
        }
    }
    let mut separator = '?';
    for (name, from) in query {
        if let Some(value) = bound(record, from) {
            text.push(separator);
            percent::encode(&mut text, name.as_bytes(), percent::unreserved);
            text.push('=');
            percent::encode(&mut text, value, percent::unreserved);
            separator = '&';
        }
    }
    let length = text.len();
    Uri::from_maybe_shared(Bytes::from(text)).map_err(|error| {
        Failure::new(
            Reason::RequestTooLarge,
            format!("the record makes a URI of {length} bytes, which HTTP cannot carry: {error}"),
        )
    })
}

/// The bytes that a binding finds in the record; a null header, like a missing one, has none.
fn bound<'a>(record: &'a Record, from: &Binding) -> Option<&'a [u8]> {
    let value = match from {
        Binding::Header(name) => record::last(&record.headers, name)?.value.as_ref(),
        Binding::Key => record.key.as_ref(),
    };
    value.map(Bytes::as_ref)
}

/// The value of a path parameter, as text that is a segment of its own.
fn segment<'a>(record: &'a Record, name: &str, from: &Binding) -> Result<&'a str, Failure> {
    let invalid = |what: &str| {
        let source = match from {
            Binding::Header(header) => format!("the record's header `{header}`"),
            Binding::Key => "the record's key".to_owned(),
        };
        Failure::new(Reason::InvalidRequest, format!("the path parameter `{name}` comes from {source}, which {what}"))
    };
    let value = bound(record, from).ok_or_else(|| invalid("is missing or null"))?;
    if value.is_empty() {
        return Err(invalid("is empty"));
    }
    if matches!(percent::decode(value).as_ref(), b"." | b"..") {
        return Err(invalid("is `.` or `..`, and would change the path"));
    }
    std::str::from_utf8(value).map_err(|_| invalid("is not UTF-8"))
}
