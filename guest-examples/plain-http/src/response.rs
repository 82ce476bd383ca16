use std::io::Write;

use serde::Serialize;
use wasip2::http::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam};

/// A response, with its whole body.
#[derive(Debug)]
pub struct Response {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Response {
    /// A response without headers and body.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// A response whose body is `value`, as `application/json`.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("the value can be written as JSON");
        Self::new(status).header("content-type", "application/json").body(body)
    }

    /// Adds a header. A name may come more than once.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it all. What HTTP does not allow, such as a line break in a header, panics, and the call fails.
    pub fn send(self, out: ResponseOutparam) {
        let headers = Fields::from_list(&self.headers).expect("the headers are valid");
        let response = OutgoingResponse::new(headers);
        response.set_status_code(self.status).expect("the status is valid");
        let body = response.body().expect("a new response still has its body");
        ResponseOutparam::set(out, Ok(response));

        body.write().expect("a new body still has its stream").write_all(&self.body).expect("the host takes the body");
        OutgoingBody::finish(body, None).expect("the body is as long as its content-length says");
    }
}
