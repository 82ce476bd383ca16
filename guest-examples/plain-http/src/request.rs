use wasip2::http::outgoing_handler;
use wasip2::http::types::{ErrorCode, IncomingRequest, Method, OutgoingBody, OutgoingRequest, Scheme};

use crate::{Response, body};

/// A request, with its whole body.
#[derive(Debug)]
pub struct Request {
    /// The head, for what the methods leave out.
    pub head: IncomingRequest,
    /// The body, as it came.
    pub body: Vec<u8>,
}

impl Request {
    /// Reads the body to its end. A body that breaks off before is no request: this panics, and the call fails.
    pub fn receive(head: IncomingRequest) -> Self {
        let body = body::read(head.consume().expect("a new request still has its body"));
        Self { head, body }
    }

    /// The method, such as `POST`.
    pub fn method(&self) -> String {
        let name = match self.head.method() {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
            Method::Other(name) => return name,
        };
        name.to_owned()
    }

    /// The path, with the query where there is one.
    pub fn path(&self) -> String {
        self.head.path_with_query().unwrap_or_default()
    }

    /// All headers, in order.
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        self.head.headers().entries()
    }

    /// Every value of one header, in order.
    pub fn header(&self, name: &str) -> Vec<Vec<u8>> {
        self.head.headers().get(name)
    }

    /// Sends the same request to another authority, and waits for its response.
    pub fn forward(&self, authority: &str) -> Result<Response, ErrorCode> {
        let request = OutgoingRequest::new(self.head.headers().clone());
        request.set_method(&self.head.method()).expect("the method was valid before");
        request.set_scheme(Some(&Scheme::Http)).expect("http is a scheme");
        request.set_authority(Some(authority)).expect("the authority is valid");
        request.set_path_with_query(Some(&self.path())).expect("the path was valid before");
        let body = request.body().expect("a new request still has its body");

        let response = outgoing_handler::handle(request, None)?;
        body::write(&body, &self.body);
        OutgoingBody::finish(body, None)?;
        Response::receive(response)
    }
}
