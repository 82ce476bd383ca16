//! Percent-encoding (RFC 3986, section 2.1) of bytes.

use std::borrow::Cow;

#[cfg(test)]
mod tests;

const UPPER: &[u8; 16] = b"0123456789ABCDEF";
const LOWER: &[u8; 16] = b"0123456789abcdef";

/// The unreserved characters of RFC 3986: what a path segment or a query may hold without meaning anything.
pub(crate) fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Appends `bytes`, all but those that may be kept encoded with capital digits.
pub(crate) fn encode(out: &mut String, bytes: &[u8], keep: impl Fn(u8) -> bool) {
    encode_with(out, bytes, keep, UPPER);
}

/// As [`encode`], with small digits: for names that are lowercase anyway.
pub(crate) fn encode_lowercase(out: &mut String, bytes: &[u8], keep: impl Fn(u8) -> bool) {
    encode_with(out, bytes, keep, LOWER);
}

fn encode_with(out: &mut String, bytes: &[u8], keep: impl Fn(u8) -> bool, digits: &[u8; 16]) {
    for &byte in bytes {
        if byte.is_ascii() && keep(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(digits[usize::from(byte >> 4)]));
            out.push(char::from(digits[usize::from(byte & 15)]));
        }
    }
}

/// Decodes once. A `%` without two hexadecimal digits after it stands for itself.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&b'%') {
        return Cow::Borrowed(bytes);
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        match tail {
            [high, low, after @ ..] if byte == b'%' => {
                if let (Some(high), Some(low)) = (digit(*high), digit(*low)) {
                    decoded.push(high << 4 | low);
                    rest = after;
                    continue;
                }
            }
            _ => {}
        }
        decoded.push(byte);
        rest = tail;
    }
    Cow::Owned(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}
