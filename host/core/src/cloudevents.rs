//! CloudEvents in binary mode: from the Kafka protocol binding (1.0) to the HTTP one, and back.
//!
//! Kafka names an attribute `ce_x` and holds its value as UTF-8. HTTP names it `ce-x` and percent-encodes the value.
//! `content-type` is the same in both and needs nothing.

use std::borrow::Cow;

use bytes::Bytes;

use crate::percent;

#[cfg(test)]
mod tests;

/// The attribute that a record header is, if its name is `ce_` and something.
pub(crate) fn record_attribute(name: &[u8]) -> Option<&[u8]> {
    attribute(name, b"ce_")
}

/// The attribute that an HTTP field is, if its name is `ce-` and something.
pub(crate) fn http_attribute(name: &str) -> Option<&str> {
    name.strip_prefix("ce-").filter(|attribute| !attribute.is_empty())
}

fn attribute<'a>(name: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, attribute) = name.split_at_checked(prefix.len())?;
    (head.eq_ignore_ascii_case(prefix) && !attribute.is_empty()).then_some(attribute)
}

/// A record's value as the HTTP binding writes it (section 3.1.3.2). `None`: it is no UTF-8, so no attribute's value.
pub(crate) fn encode(value: &Bytes) -> Option<Bytes> {
    let plain = |byte: u8| matches!(byte, 0x21..=0x7e) && byte != b'"' && byte != b'%';
    if value.iter().copied().all(plain) {
        return Some(value.clone());
    }
    std::str::from_utf8(value).ok()?;
    let mut encoded = String::with_capacity(value.len() * 3);
    percent::encode(&mut encoded, value, plain);
    Some(encoded.into())
}

/// A field's value as the Kafka binding holds it: without the quotes of older versions, percent-decoded once. `None`:
/// what comes out is no UTF-8, which the HTTP binding forbids to accept.
pub(crate) fn decode(value: &[u8]) -> Option<Bytes> {
    let unquoted = unquote(value);
    let decoded = percent::decode(&unquoted);
    std::str::from_utf8(&decoded).ok()?;
    Some(Bytes::copy_from_slice(&decoded))
}

/// Undoes a quoted string (RFC 9110, section 5.6.4).
fn unquote(value: &[u8]) -> Cow<'_, [u8]> {
    let [b'"', inner @ .., b'"'] = value else {
        return Cow::Borrowed(value);
    };
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        plain.push(if byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte });
    }
    Cow::Owned(plain)
}
