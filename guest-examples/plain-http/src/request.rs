use wasip2::http::types::{IncomingRequest, Method};
use wasip2::io::streams::StreamError;

/// How much of a body is asked for at once.
const CHUNK: u64 = 64 * 1024;

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
        let body = read(&head);
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
}

fn read(head: &IncomingRequest) -> Vec<u8> {
    let body = head.consume().expect("a new request still has its body");
    let stream = body.stream().expect("a new body still has its stream");
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(CHUNK) {
            Ok(chunk) if bytes.is_empty() => bytes = chunk,
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => return bytes,
            Err(StreamError::LastOperationFailed(error)) => panic!("the request's body broke off: {error}"),
        }
    }
}
