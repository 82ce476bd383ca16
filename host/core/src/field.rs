//! Fields of HTTP messages: what they may hold, which ones are the host's own, which ones never pass.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, HeaderValue};

use crate::cloudevents;
use crate::failure::{Failure, Reason};
use crate::percent;

#[cfg(test)]
mod tests;

pub(crate) static KAFKA_TOPIC: HeaderName = HeaderName::from_static("x-kafka-topic");
pub(crate) static KAFKA_PARTITION: HeaderName = HeaderName::from_static("x-kafka-partition");
pub(crate) static KAFKA_OFFSET: HeaderName = HeaderName::from_static("x-kafka-offset");
pub(crate) static KAFKA_TIMESTAMP: HeaderName = HeaderName::from_static("x-kafka-timestamp");
pub(crate) static KAFKA_KEY: HeaderName = HeaderName::from_static("x-kafka-key");
pub(crate) static KAFKA_KEY_ENCODING: HeaderName = HeaderName::from_static("x-kafka-key-encoding");
pub(crate) static KAFKA_TOMBSTONE: HeaderName = HeaderName::from_static("x-kafka-tombstone");
pub(crate) static KAFKA_DELIVERY_ATTEMPT: HeaderName = HeaderName::from_static("x-kafka-delivery-attempt");
pub(crate) static KAFKA_ENCODED_HEADERS: HeaderName = HeaderName::from_static("x-kafka-encoded-headers");
pub(crate) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Whether the host alone sets this field: a producer that sends one under such a name is not believed, and a
/// response that has one steers its reply.
pub(crate) fn is_metadata(name: &HeaderName) -> bool {
    name.as_str().strip_prefix("x-kafka-").is_some_and(|rest| {
        matches!(
            rest,
            "topic"
                | "partition"
                | "offset"
                | "timestamp"
                | "key"
                | "key-encoding"
                | "tombstone"
                | "delivery-attempt"
                | "encoded-headers"
        )
    })
}

/// Whether this field is about one connection or the framing of one message (RFC 9110, section 7.6.1), and so means
/// nothing beyond it.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "host"
            | "content-length"
            | "http2-settings"
    ) || name.as_str().starts_with("proxy-")
}

/// The field name for a record header's name: lowercase, `ce_` as `ce-`, and percent-encoded what a token cannot hold.
///
/// A `%` is encoded too, so that no two names become one and a decoder knows what it sees.
pub(crate) fn name(raw: &[u8]) -> Result<HeaderName, Failure> {
    if let Some(attribute) = cloudevents::record_attribute(raw) {
        return escaped_name("ce-", attribute);
    }
    match HeaderName::from_bytes(raw) {
        Ok(name) if !raw.contains(&b'%') => Ok(name),
        _ if raw.is_empty() => Err(Failure::new(
            Reason::InvalidRequest,
            "a header of the record has an empty name, which HTTP cannot carry",
        )),
        _ => escaped_name("", raw),
    }
}

fn escaped_name(prefix: &str, raw: &[u8]) -> Result<HeaderName, Failure> {
    let mut escaped = String::with_capacity(prefix.len() + raw.len() + 8);
    escaped.push_str(prefix);
    percent::encode_lowercase(&mut escaped, raw, |byte| is_token(byte) && byte != b'%');
    HeaderName::try_from(escaped).map_err(|_| {
        Failure::new(
            Reason::RequestTooLarge,
            format!("a header of the record has a name of {} bytes, too long for HTTP", raw.len()),
        )
    })
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a field can hold these bytes and give them back: no controls but tab inside, no blank at an end.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !blank(bytes.first())
        && !blank(bytes.last())
        && bytes.iter().all(|&byte| matches!(byte, b'\t' | 0x20..=0x7e | 0x80..=0xff))
}

/// Whether a key stands in `x-kafka-key` as it is: visible ASCII throughout.
pub(crate) fn is_plain_key(key: &[u8]) -> bool {
    key.iter().all(|byte| matches!(byte, 0x21..=0x7e))
}

/// Base64 (RFC 4648, section 4, padded).
pub(crate) fn base64(bytes: &[u8]) -> HeaderValue {
    HeaderValue::try_from(BASE64_STANDARD.encode(bytes)).unwrap_or_else(|_| unreachable!("base64 is ASCII"))
}
