//! It calls on to the component that it wraps, as a middleware should not.

use base64::{Engine, prelude::BASE64_STANDARD};
use plain_http::{Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, Method, OutgoingBody, OutgoingRequest, ResponseOutparam, Scheme,
};
use wasip2::io::streams::StreamError;

use crate::endings;
use crate::mirror::bytes;
use crate::query::Query;

/// Where a middleware finds the component that it wraps.
const NEXT: &str = "next.callgate.internal";

/// What is sent to the next component.
#[derive(Deserialize)]
#[serde(default)]
struct Message {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Default for Message {
    fn default() -> Self {
        Self { method: "POST".to_owned(), path: "/".to_owned(), headers: Vec::new(), body: String::new() }
    }
}

impl Message {
    /// The request that came, for another path.
    fn passing_on(request: &Request, query: &Query) -> Self {
        let headers = request.headers().into_iter().filter(|(name, _)| name != "content-length");
        Self {
            method: request.method(),
            path: query.text("path").unwrap_or("/").to_owned(),
            headers: headers.map(|(name, value)| (name, BASE64_STANDARD.encode(value))).collect(),
            body: BASE64_STANDARD.encode(&request.body),
        }
    }

    fn send(&self) -> Result<FutureIncomingResponse, ErrorCode> {
        let (coming, body) = self.begin()?;
        write(&body, &bytes(&self.body))?;
        OutgoingBody::finish(body, None)?;
        Ok(coming)
    }

    fn begin(&self) -> Result<(FutureIncomingResponse, OutgoingBody), ErrorCode> {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.clone(), bytes(value))).collect();
        let request = OutgoingRequest::new(Fields::from_list(&headers).expect("the headers are valid"));
        request.set_method(&Method::Other(self.method.clone())).expect("the method is valid");
        request.set_scheme(Some(&Scheme::Http)).expect("http is a scheme");
        request.set_authority(Some(NEXT)).expect("the authority is valid");
        request.set_path_with_query(Some(&self.path)).expect("the path is valid");
        let body = request.body().expect("a new request still has its body");
        Ok((outgoing_handler::handle(request, None)?, body))
    }
}

/// What the other side does not take is no reason to trap: what came of it tells more.
fn write(body: &OutgoingBody, mut bytes: &[u8]) -> Result<(), ErrorCode> {
    let stream = body.write().expect("a new body still has its stream");
    while !bytes.is_empty() {
        let (chunk, rest) = bytes.split_at(bytes.len().min(4096));
        match stream.blocking_write_and_flush(chunk) {
            Ok(()) => bytes = rest,
            Err(StreamError::Closed) => return Ok(()),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(ErrorCode::InternalError(Some(error.to_debug_string())));
            }
        }
    }
    Ok(())
}

fn answer(sent: Result<FutureIncomingResponse, ErrorCode>) -> Value {
    match sent.and_then(Response::receive) {
        Ok(Response { status, headers, body }) => {
            let headers: Vec<_> =
                headers.into_iter().map(|(name, value)| (name, BASE64_STANDARD.encode(value))).collect();
            json!({ "status": status, "headers": headers, "body": BASE64_STANDARD.encode(body) })
        }
        Err(error) => json!({ "error": error.to_string() }),
    }
}

fn answers(answers: Vec<Value>) -> Response {
    Response::json(200, &json!({ "answers": answers }))
}

pub(crate) fn next(request: &Request, query: &Query) -> Response {
    let message = Message::passing_on(request, query);
    answers((0..query.number("times").unwrap_or(1)).map(|_| answer(message.send())).collect())
}

pub(crate) fn next_at_once(request: &Request, query: &Query) -> Response {
    let message = Message::passing_on(request, query);
    let sent: Vec<_> = (0..query.number("times").unwrap_or(2)).map(|_| message.send()).collect();
    answers(sent.into_iter().map(answer).collect())
}

pub(crate) fn next_with(request: &Request) -> Response {
    let message: Message = serde_json::from_slice(&request.body).expect("the request says what to send");
    answers(vec![answer(message.send())])
}

pub(crate) fn next_then_trap(request: &Request, query: &Query) -> ! {
    answer(Message::passing_on(request, query).send());
    endings::trap()
}

pub(crate) fn next_unread(request: &Request, query: &Query) -> Response {
    let coming = Message::passing_on(request, query).send().expect("the request is taken");
    coming.subscribe().block();
    let response = coming.get().expect("it was waited for").expect("it is taken once");
    Response::json(200, &json!({ "status": response.map(|response| response.status()).ok() }))
}

pub(crate) fn next_unwaited(request: &Request, query: &Query) -> Response {
    drop(Message::passing_on(request, query).send().expect("the request is taken"));
    Response::new(200)
}

pub(crate) fn next_unfinished(request: &Request, query: &Query) -> Response {
    let (coming, body) = Message::passing_on(request, query).begin().expect("the request is taken");
    write(&body, b"hello").expect("the host takes a little");
    drop(body);
    answers(vec![answer(Ok(coming))])
}

pub(crate) fn next_after_response(request: &Request, query: &Query, out: ResponseOutparam) {
    Response::new(200).body("all is well").send(out);
    answer(Message::passing_on(request, query).send());
}
