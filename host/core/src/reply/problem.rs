//! Error replies as problem details (RFC 9457).

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use crate::failure::Failure;
use crate::record::Record;

pub(super) const CONTENT_TYPE: &str = "application/problem+json";

/// Bytes of a failure's message that a requester gets: an error reply is small, since it must fit where another did not.
const MAX_DETAIL: usize = 1024;

/// The members of the RFC, and beside them the reason's code and where the record stands. The type is `about:blank`:
/// the problem is that of the status, and `reason` says which one.
pub(super) fn body(record: &Record, status: u16, failure: &Failure) -> Bytes {
    let title = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let detail = &failure.message[..failure.message.floor_char_boundary(MAX_DETAIL)];
    let problem = json!({
        "type": "about:blank",
        "title": title.unwrap_or("Error"),
        "status": status,
        "detail": detail,
        "reason": failure.reason.as_str(),
        "topic": &*record.coordinate.topic,
        "partition": record.coordinate.partition,
        "offset": record.coordinate.offset,
    });
    problem.to_string().into()
}
