//! Whether a response can become a reply, and what it asks of the reply.

use bytes::Bytes;
use http::Response;

use crate::encoded::{self, Decoded};
use crate::failure::{Failure, Reason};
use crate::field;

#[cfg(test)]
mod tests;

/// What a response's `x-kafka-*` fields ask of its reply.
#[derive(Clone, Debug, Default)]
pub struct Steering {
    /// The reply's key instead of the request's, from `x-kafka-key`.
    pub key: Option<Bytes>,
    /// Whether the reply's value is null, from `x-kafka-tombstone: true`. It wins over a body.
    pub tombstone: bool,
    /// The values of the fields that `x-kafka-encoded-headers` names.
    pub(crate) decoded: Decoded,
}

/// Checks a response, and reads its steering fields. Where one occurs more than once, the last one counts. A response
/// that cannot become a reply is a failure of the call, reason `invalid-response`.
pub fn check(response: &Response<Bytes>) -> Result<Steering, Failure> {
    let status = response.status().as_u16();
    if !(200..=599).contains(&status) {
        return Err(invalid(format!(
            "the handler answered with status {status}, and a response has one of 200 to 599"
        )));
    }
    let tombstone = match last(response, &field::KAFKA_TOMBSTONE) {
        None | Some(b"false") => false,
        Some(b"true") => true,
        Some(_) => return Err(invalid("the handler's `x-kafka-tombstone` is neither `true` nor `false`".to_owned())),
    };
    Ok(Steering { key: key(response)?, tombstone, decoded: encoded::decode(response.headers()).map_err(invalid)? })
}

fn key(response: &Response<Bytes>) -> Result<Option<Bytes>, Failure> {
    let Some(key) = last(response, &field::KAFKA_KEY) else {
        return Ok(None);
    };
    let key = match last(response, &field::KAFKA_KEY_ENCODING) {
        None => Bytes::copy_from_slice(key),
        Some(encoding) if encoding.eq_ignore_ascii_case(b"base64") => {
            encoded::base64(key).ok_or_else(|| invalid("the handler's `x-kafka-key` is not base64".to_owned()))?
        }
        Some(_) => return Err(invalid("the handler's `x-kafka-key-encoding` is not `base64`".to_owned())),
    };
    Ok(Some(key))
}

fn last<'a>(response: &'a Response<Bytes>, name: &http::HeaderName) -> Option<&'a [u8]> {
    response.headers().get_all(name).iter().next_back().map(http::HeaderValue::as_bytes)
}

fn invalid(message: String) -> Failure {
    Failure::new(Reason::InvalidResponse, message)
}
