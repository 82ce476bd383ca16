//! It responds as one should not.

use std::io::Write;

use plain_http::Response;
use serde_json::json;
use wasip2::http::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam};

use crate::greed;

pub(crate) fn large(bytes: u64) -> Response {
    Response::new(200).body(vec![b'x'; bytes as usize])
}

pub(crate) fn huge_headers(count: u64, bytes: u64) -> Response {
    let value = "x".repeat(bytes as usize);
    (0..count).fold(Response::new(200), |response, _| response.header("x-huge", value.as_str()))
}

pub(crate) fn bad_header() -> Response {
    let set = |name: &str, value: &str| {
        let header = (name.to_owned(), value.as_bytes().to_vec());
        Fields::from_list(&[header]).err().map(|error| error.to_string())
    };
    Response::json(
        200,
        &json!({
            "line-break": set("x-bad", "one\r\nx-smuggled: two"),
            "name": set("not a name", "value"),
            "hop-by-hop": set("connection", "close"),
        }),
    )
}

pub(crate) fn wrong_content_length(out: ResponseOutparam) {
    let promise = ("content-length".to_owned(), b"100".to_vec());
    let body = begin(out, &[promise]);
    write_a_little(&body);
    OutgoingBody::finish(body, None).expect_err("the host counts what was promised");
}

pub(crate) fn unfinished_body(out: ResponseOutparam) {
    write_a_little(&begin(out, &[]));
}

pub(crate) fn stalled_body(out: ResponseOutparam) {
    // Held while it sleeps: a body that is dropped is given up, and that is another mischief.
    let body = begin(out, &[]);
    write_a_little(&body);
    greed::sleep_for_ever();
}

pub(crate) fn endless_body(out: ResponseOutparam) {
    let body = begin(out, &[]);
    let mut stream = body.write().expect("a new body still has its stream");
    while stream.write_all(&[b'x'; 4096]).is_ok() {}
}

pub(crate) fn empty_writes(out: ResponseOutparam) {
    let body = begin(out, &[]);
    let stream = body.write().expect("a new body still has its stream");
    while stream.blocking_write_and_flush(&[]).is_ok() {}
}

/// Sends a head, and hands over the body that is to follow.
fn begin(out: ResponseOutparam, headers: &[(String, Vec<u8>)]) -> OutgoingBody {
    let response = OutgoingResponse::new(Fields::from_list(headers).expect("the headers are valid"));
    let body = response.body().expect("a new response still has its body");
    ResponseOutparam::set(out, Ok(response));
    body
}

fn write_a_little(body: &OutgoingBody) {
    let stream = body.write().expect("a new body still has its stream");
    stream.blocking_write_and_flush(b"hello").expect("the host takes a little");
}
