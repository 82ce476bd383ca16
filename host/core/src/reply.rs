//! Who gets an answer, and the record that carries it (Return Address, Correlation Identifier).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response};

use crate::failure::Failure;
use crate::record::{Header, OutgoingRecord, Record, last};
use crate::response::Steering;
use crate::route::TopicList;
use crate::trace::TraceParent;
use crate::{cloudevents, field};

mod address;
mod problem;
#[cfg(test)]
mod tests;

pub use address::{AddressFault, ReturnAddress, return_address};

/// How often a message has been answered on its way, to end loops between handlers.
const HOPS: &str = "x-callgate-hops";
const STATUS_CODE: &str = "status-code";
/// Zilla's http-kafka bindings read the status from a pseudo-header.
const ZILLA_STATUS: &str = ":status";
const ZILLA_REPLY_TO: &str = "zilla:reply-to";
const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// What a tenant's replies follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyPolicy {
    return_address_headers: Vec<Arc<str>>,
    correlation_headers: Vec<Arc<str>>,
    /// The correlation headers under the names that a response would give them.
    correlation_fields: Vec<HeaderName>,
    allowed: TopicList,
    max_hops: u32,
}

impl ReplyPolicy {
    /// Return addresses are looked for under the first names in that order; correlation identifiers are all those under
    /// the second names. `allowed` is whom records may address, `max_hops` how often a message may have been answered.
    pub fn new(
        return_address_headers: Vec<Arc<str>>,
        correlation_headers: Vec<Arc<str>>,
        allowed: TopicList,
        max_hops: u32,
    ) -> Self {
        let correlation_fields =
            correlation_headers.iter().filter_map(|name| field::name(name.as_bytes()).ok()).collect();
        Self { return_address_headers, correlation_headers, correlation_fields, allowed, max_hops }
    }

    fn is_correlation(&self, header: &Header) -> bool {
        self.correlation_headers.iter().any(|name| header.is(name))
    }

    /// Whether a field of a response stays out of the reply: the host says it itself, or it steers, or it means nothing
    /// beyond one connection.
    fn drops(&self, name: &HeaderName) -> bool {
        name.as_str() == STATUS_CODE
            || name.as_str().starts_with("x-callgate-")
            || field::is_metadata(name)
            || field::is_hop_by_hop(name)
            || self.correlation_fields.contains(name)
    }
}

/// The reply to a record: the response's body under the request's key, with status, the response's headers, then
/// correlation, hops and trace. The response's names pass as they are, a `%` in them too, except that `ce-` becomes
/// `ce_`. `span` is the host's span for the call: the parent of what comes of the reply.
pub fn reply(
    record: &Record,
    address: &ReturnAddress,
    response: &Response<Bytes>,
    steering: &Steering,
    policy: &ReplyPolicy,
    span: Option<[u8; 8]>,
) -> OutgoingRecord {
    let mut headers = Vec::with_capacity(response.headers().len() + 8);
    push_status(&mut headers, address, response.status().as_u16());
    push_response(&mut headers, response.headers(), steering, policy);
    push_context(&mut headers, record, policy);
    // A handler that takes part in the trace names its own span, and that is the better parent.
    if !response.headers().contains_key(TRACEPARENT) {
        push_trace(&mut headers, record, span);
    }
    OutgoingRecord {
        topic: address.topic.clone(),
        partition: address.partition,
        timestamp: None,
        key: steering.key.clone().or_else(|| record.key.clone()),
        value: (!steering.tombstone).then(|| response.body().clone()),
        headers,
    }
}

/// The error reply to a record that became a dead letter: `application/problem+json` (RFC 9457) under the request's key.
pub fn error_reply(
    record: &Record,
    address: &ReturnAddress,
    status: u16,
    failure: &Failure,
    policy: &ReplyPolicy,
    span: Option<[u8; 8]>,
) -> OutgoingRecord {
    let mut headers = Vec::with_capacity(8);
    push_status(&mut headers, address, status);
    headers.push(Header::new("content-type", problem::CONTENT_TYPE));
    push_context(&mut headers, record, policy);
    push_trace(&mut headers, record, span);
    OutgoingRecord {
        topic: address.topic.clone(),
        partition: address.partition,
        timestamp: None,
        key: record.key.clone(),
        value: Some(problem::body(record, status, failure)),
        headers,
    }
}

fn push_status(headers: &mut Vec<Header>, address: &ReturnAddress, status: u16) {
    let code = Bytes::from(status.to_string());
    headers.push(Header::new(STATUS_CODE, code.clone()));
    if address.zilla {
        headers.push(Header::new(ZILLA_STATUS, code));
    }
}

fn push_response(headers: &mut Vec<Header>, fields: &HeaderMap, steering: &Steering, policy: &ReplyPolicy) {
    for name in fields.keys().filter(|name| !policy.drops(name)) {
        let attribute = cloudevents::http_attribute(name.as_str());
        let record_name = match attribute {
            Some(attribute) => Bytes::from(format!("ce_{attribute}")),
            None => Bytes::copy_from_slice(name.as_str().as_bytes()),
        };
        let mut push = |value| headers.push(Header { name: record_name.clone(), value });
        if let Some(decoded) = steering.decoded.get(name) {
            decoded.iter().cloned().for_each(push);
            continue;
        }
        for value in fields.get_all(name) {
            let decoded = attribute.and_then(|_| cloudevents::decode(value.as_bytes()));
            push(Some(decoded.unwrap_or_else(|| Bytes::copy_from_slice(value.as_bytes()))));
        }
    }
}

/// Correlation as it came, every occurrence, and the hops counted up.
fn push_context(headers: &mut Vec<Header>, record: &Record, policy: &ReplyPolicy) {
    headers.extend(record.headers.iter().filter(|header| policy.is_correlation(header)).cloned());
    headers.push(Header::new(HOPS, hops(record).unwrap_or(0).saturating_add(1).to_string()));
}

fn push_trace(headers: &mut Vec<Header>, record: &Record, span: Option<[u8; 8]>) {
    let value = |name| last(&record.headers, name).and_then(|header| header.value.as_ref());
    let Some(parent) = value(TRACEPARENT).and_then(|value| TraceParent::parse(value)) else {
        return;
    };
    let parent = span.map_or(parent, |span| parent.child(span));
    headers.push(Header::new(TRACEPARENT, parent.encode()));
    if let Some(state) = value(TRACESTATE) {
        headers.push(Header::new(TRACESTATE, state.clone()));
    }
}

/// How often this message has been answered on its way; `None` where the header is not a number.
fn hops(record: &Record) -> Option<u32> {
    let Some(header) = last(&record.headers, HOPS) else {
        return Some(0);
    };
    let digits = std::str::from_utf8(header.value.as_deref()?).ok()?;
    // More digits than a number holds are a number all the same, over any limit.
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().unwrap_or(u32::MAX))
}
