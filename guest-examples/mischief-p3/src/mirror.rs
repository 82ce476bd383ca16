//! It tells what it sees.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;
use wasip3::cli;
use wasip3::http::types::{Fields, Method, Request, Response, Scheme};
use wasip3::wit_bindgen::StreamWriter;
use wasip3::{wit_future, wit_stream};

use crate::responses::{json as answer, status};

pub(crate) async fn echo(request: Request) -> Response {
    let headers: Vec<_> = request
        .get_headers()
        .copy_all()
        .into_iter()
        .map(|(name, value)| (name, BASE64_STANDARD.encode(value)))
        .collect();
    let (method, scheme, authority) = (request.get_method(), request.get_scheme(), request.get_authority());
    let path = request.get_path_with_query();
    let body = body(request).await;
    answer(&json!({
        "method": method_name(method),
        "scheme": scheme.map(scheme_name),
        "authority": authority,
        "path": path,
        "headers": headers,
        "body": BASE64_STANDARD.encode(body),
    }))
}

/// The whole body of a request.
async fn body(request: Request) -> Vec<u8> {
    let (_, taken) = wit_future::new(|| Ok(()));
    let (contents, _) = Request::consume_body(request, taken);
    contents.collect().await
}

fn method_name(method: Method) -> String {
    match method {
        Method::Get => "GET".to_owned(),
        Method::Post => "POST".to_owned(),
        Method::Put => "PUT".to_owned(),
        Method::Delete => "DELETE".to_owned(),
        other => format!("{other:?}"),
    }
}

fn scheme_name(scheme: Scheme) -> String {
    match scheme {
        Scheme::Http => "http".to_owned(),
        Scheme::Https => "https".to_owned(),
        Scheme::Other(name) => name,
    }
}

pub(crate) fn pass_on(request: Request) -> Response {
    let (_, taken) = wit_future::new(|| Ok(()));
    let (contents, trailers) = Request::consume_body(request, taken);
    Response::new(Fields::new(), Some(contents), trailers).0
}

pub(crate) fn count() -> Response {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let before = CALLS.fetch_add(1, Ordering::Relaxed);
    answer(&json!({ "count": before + 1 }))
}

pub(crate) async fn log(request: Request) -> Response {
    let text = body(request).await;
    let line = [&text[..], b"\n"].concat();
    stdout().write_all(line.clone()).await;
    stderr().write_all(line).await;
    status(200)
}

/// Where lines for stdout are written to.
pub(crate) fn stdout() -> StreamWriter<u8> {
    let (writer, reader) = wit_stream::new();
    drop(cli::stdout::write_via_stream(reader));
    writer
}

fn stderr() -> StreamWriter<u8> {
    let (writer, reader) = wit_stream::new();
    drop(cli::stderr::write_via_stream(reader));
    writer
}
