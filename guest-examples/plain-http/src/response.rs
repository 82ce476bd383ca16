use serde::Serialize;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

use crate::body;

/// A response, with its whole body.
#[derive(Debug)]
pub struct Response {
    /// The status, such as 200.
    pub status: u16,
    /// The headers, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
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
        body::write(&body, &self.body);
        OutgoingBody::finish(body, None).expect("the body is as long as its content-length says");
    }

    /// Waits for the response to a request of our own.
    pub fn receive(coming: FutureIncomingResponse) -> Result<Self, ErrorCode> {
        coming.subscribe().block();
        let response = coming.get().expect("it was waited for").expect("it is taken once")?;
        Ok(Self {
            status: response.status(),
            headers: response.headers().entries(),
            body: body::read(response.consume().expect("a new response still has its body")),
        })
    }
}
