//! It tells what it sees.

use base64::{Engine, prelude::BASE64_STANDARD};
use plain_http::{Request, Response};
use serde::Deserialize;
use serde_json::json;
use wasip2::http::types::Scheme;

pub(crate) fn echo(request: &Request) -> Response {
    let headers: Vec<_> =
        request.headers().into_iter().map(|(name, value)| (name, BASE64_STANDARD.encode(value))).collect();
    Response::json(
        200,
        &json!({
            "method": request.method(),
            "scheme": request.head.scheme().map(scheme),
            "authority": request.head.authority(),
            "path": request.path(),
            "headers": headers,
            "body": BASE64_STANDARD.encode(&request.body),
        }),
    )
}

fn scheme(scheme: Scheme) -> String {
    match scheme {
        Scheme::Http => "http".to_owned(),
        Scheme::Https => "https".to_owned(),
        Scheme::Other(name) => name,
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct Wish {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Default for Wish {
    fn default() -> Self {
        Self { status: 200, headers: Vec::new(), body: String::new() }
    }
}

pub(crate) fn reply_with(request: &Request) -> Response {
    let wish: Wish = serde_json::from_slice(&request.body).expect("the request says what to respond");
    let response = Response::new(wish.status).body(bytes(&wish.body));
    wish.headers.iter().fold(response, |response, (name, value)| response.header(name, bytes(value)))
}

pub(crate) fn bytes(base64: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(base64).expect("bytes come as base64")
}

pub(crate) fn fail_until(request: &Request, last: u64) -> Response {
    let attempt = request
        .header("x-kafka-delivery-attempt")
        .first()
        .and_then(|value| str::from_utf8(value).ok()?.parse().ok())
        .unwrap_or(0);
    let status = if attempt < last { 503 } else { 200 };
    Response::json(status, &json!({ "attempt": attempt }))
}

pub(crate) fn log(request: &Request) -> Response {
    let text = String::from_utf8_lossy(&request.body);
    println!("{text}");
    eprintln!("{text}");
    Response::new(200)
}
