//! From a record to a request (a Message Translator).

use std::fmt::{Display, Write as _};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Request};

use crate::encoded::EncodedNames;
use crate::failure::{Failure, Reason};
use crate::limits::RequestLimits;
use crate::record::{Header, Record};
use crate::route::Route;
use crate::trace::TraceParent;
use crate::{cloudevents, field};

mod target;
#[cfg(test)]
mod tests;

/// Bytes of the longest number that the host writes.
const LONGEST_NUMBER: usize = "-9223372036854775808".len();

/// What a request takes from elsewhere than record and route.
#[derive(Clone, Copy, Debug)]
pub struct RequestScope<'a> {
    /// The handler's name: the request's authority.
    pub handler: &'a str,
    /// The number of this call for this record, from 1.
    pub attempt: u32,
    /// What a record may bring.
    pub limits: &'a RequestLimits,
    /// The host's span for this call. It becomes the parent in a valid `traceparent` of the record.
    pub span: Option<[u8; 8]>,
}

/// Makes the request of a record. The body shares the record's value.
///
/// Every record header becomes a field, in the record's order, except those that the host sets itself and those that
/// mean nothing beyond one connection. What a field cannot hold is encoded, never changed or left out. The fields that
/// describe the record (`x-kafka-*`) and `content-length` come last. Encoding can make the fields longer than the
/// record's headers were: names up to three times, values by a third; the limits are on what the record brings.
pub fn to_request(record: &Record, route: &Route, scope: &RequestScope<'_>) -> Result<Request<Bytes>, Failure> {
    check_limits(record, scope.limits)?;
    let operation = match (&record.value, &route.tombstone) {
        (None, Some(tombstone)) => tombstone,
        _ => &route.operation,
    };
    let mut headers = carried(record, scope.span)?;
    describe(&mut headers, record, scope.attempt)?;
    let mut request = Request::new(record.value.clone().unwrap_or_default());
    *request.method_mut() = operation.method.clone();
    *request.uri_mut() = target::uri(record, scope.handler, operation, &route.query)?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn check_limits(record: &Record, limits: &RequestLimits) -> Result<(), Failure> {
    let header_bytes =
        record.headers.iter().map(|header| header.name.len() + header.value.as_ref().map_or(0, Bytes::len)).sum();
    let check = |actual: usize, limit: usize, what: &str, setting: &str| {
        if actual <= limit {
            return Ok(());
        }
        Err(Failure::new(
            Reason::RequestTooLarge,
            format!("the record has {actual} {what}, and the tenant's `{setting}` is {limit}"),
        ))
    };
    check(record.headers.len(), limits.max_headers, "headers", "max_headers")?;
    check(header_bytes, limits.max_header_bytes, "bytes of headers", "max_header_bytes")?;
    check(record.value.as_ref().map_or(0, Bytes::len), limits.max_body, "bytes of value", "max_request_body")
}

/// The record's own headers as fields.
fn carried(record: &Record, span: Option<[u8; 8]>) -> Result<HeaderMap, Failure> {
    let mut encoded = EncodedNames::default();
    let mut fields = Vec::with_capacity(record.headers.len());
    for header in &record.headers {
        let name = field::name(&header.name)?;
        if field::is_metadata(&name) || field::is_hop_by_hop(&name) {
            continue;
        }
        let value = plain_value(&name, header, span);
        if value.is_none() {
            encoded.insert(&name);
        }
        fields.push((name, value, header));
    }
    // Room for the host's own fields too. More than this is rare, and too much would panic here.
    let mut headers = HeaderMap::with_capacity((fields.len() + 10).min(1024));
    // Only now is it known which names have a value that must be encoded, and so have all of theirs encoded.
    for (name, plain, header) in fields {
        let value = match plain {
            Some(plain) if !encoded.contains(&name) => plain,
            _ => encoded.encode(&name, header.value.as_ref()),
        };
        append(&mut headers, name, value)?;
    }
    if let Some(list) = encoded.list() {
        append(&mut headers, field::KAFKA_ENCODED_HEADERS.clone(), list)?;
    }
    Ok(headers)
}

/// The value as a field can hold it, or `None` where it must be encoded.
fn plain_value(name: &HeaderName, header: &Header, span: Option<[u8; 8]>) -> Option<HeaderValue> {
    let value = header.value.as_ref()?;
    if cloudevents::record_attribute(&header.name).is_some() {
        return HeaderValue::from_maybe_shared(cloudevents::encode(value)?).ok();
    }
    if *name == field::TRACEPARENT
        && let (Some(parent), Some(span)) = (TraceParent::parse(value), span)
    {
        return HeaderValue::from_maybe_shared(parent.child(span).encode()).ok();
    }
    if field::is_value(value) { HeaderValue::from_maybe_shared(value.clone()).ok() } else { None }
}

/// Adds what the host says about the record.
fn describe(headers: &mut HeaderMap, record: &Record, attempt: u32) -> Result<(), Failure> {
    let coordinate = &record.coordinate;
    // All that is written here shares one allocation.
    let mut text = BytesMut::with_capacity(coordinate.topic.len() + 5 * LONGEST_NUMBER);
    let mut written = |value: &dyn Display| {
        // Memory takes whatever is written to it.
        let _ = write!(text, "{value}");
        HeaderValue::from_maybe_shared(text.split().freeze())
            .map_err(|_| Failure::new(Reason::InvalidRequest, "the topic's name cannot stand in a header"))
    };
    let mut set = |name: &HeaderName, value: HeaderValue| append(headers, name.clone(), value);
    set(&field::KAFKA_TOPIC, written(&coordinate.topic)?)?;
    set(&field::KAFKA_PARTITION, written(&coordinate.partition)?)?;
    set(&field::KAFKA_OFFSET, written(&coordinate.offset)?)?;
    if let Some(timestamp) = record.timestamp {
        set(&field::KAFKA_TIMESTAMP, written(&timestamp.millis)?)?;
    }
    if let Some(key) = &record.key {
        match HeaderValue::from_maybe_shared(key.clone()) {
            Ok(plain) if field::is_plain_key(key) => set(&field::KAFKA_KEY, plain)?,
            _ => {
                set(&field::KAFKA_KEY, field::base64(key))?;
                set(&field::KAFKA_KEY_ENCODING, HeaderValue::from_static("base64"))?;
            }
        }
    }
    if record.value.is_none() {
        set(&field::KAFKA_TOMBSTONE, HeaderValue::from_static("true"))?;
    }
    set(&field::KAFKA_DELIVERY_ATTEMPT, written(&attempt)?)?;
    set(&CONTENT_LENGTH, written(&record.value.as_ref().map_or(0, Bytes::len))?)
}

fn append(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<(), Failure> {
    let full = |_| Failure::new(Reason::RequestTooLarge, "the record has more headers than an HTTP message can hold");
    headers.try_append(name, value).map(|_| ()).map_err(full)
}
