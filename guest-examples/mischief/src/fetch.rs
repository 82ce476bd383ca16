//! It asks others, in every way that it is told to.

use std::io::Write;

use base64::{Engine, prelude::BASE64_STANDARD};
use plain_http::{Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    Fields, FutureIncomingResponse, IncomingBody, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use wasip2::io::streams::StreamError;

/// The largest body that is shown, and not only counted.
const SHOWN: usize = 64 * 1024;
const CHUNK: u64 = 64 * 1024;

#[derive(Deserialize)]
#[serde(default)]
struct Wish {
    method: String,
    scheme: String,
    authority: String,
    path: String,
    headers: Vec<(String, String)>,
    /// Bytes of the request's body.
    send: usize,
    connect_ms: Option<u64>,
    first_byte_ms: Option<u64>,
    between_bytes_ms: Option<u64>,
    /// How often, one after another or all at once.
    times: usize,
    at_once: bool,
    /// The response is let go without its body.
    head_only: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            method: "GET".to_owned(),
            scheme: "http".to_owned(),
            authority: String::new(),
            path: "/".to_owned(),
            headers: Vec::new(),
            send: 0,
            connect_ms: None,
            first_byte_ms: None,
            between_bytes_ms: None,
            times: 1,
            at_once: false,
            head_only: false,
        }
    }
}

pub(crate) fn fetch(request: &Request) -> Response {
    let wish: Wish = serde_json::from_slice(&request.body).expect("the request says what to fetch");
    let came: Vec<Value> = if wish.at_once {
        let sent: Vec<_> = (0..wish.times).map(|_| wish.send()).collect();
        sent.into_iter().map(|sent| wish.receive(sent)).collect()
    } else {
        (0..wish.times).map(|_| wish.receive(wish.send())).collect()
    };
    Response::json(200, &came)
}

impl Wish {
    fn send(&self) -> Result<FutureIncomingResponse, String> {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
        let headers = Fields::from_list(&headers).map_err(|error| format!("the headers: {error}"))?;
        let request = OutgoingRequest::new(headers);
        let scheme = match self.scheme.as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => Scheme::Other(other.to_owned()),
        };
        let method = match self.method.as_str() {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "CONNECT" => Method::Connect,
            other => Method::Other(other.to_owned()),
        };
        let refused = |what: &'static str| move |()| format!("the {what} is refused");
        request.set_method(&method).map_err(refused("method"))?;
        request.set_scheme(Some(&scheme)).map_err(refused("scheme"))?;
        request.set_authority(Some(&self.authority)).map_err(refused("authority"))?;
        request.set_path_with_query(Some(&self.path)).map_err(refused("path"))?;
        let options = RequestOptions::new();
        let nanoseconds = |ms: Option<u64>| ms.map(|ms| ms * 1_000_000);
        let _ = options.set_connect_timeout(nanoseconds(self.connect_ms));
        let _ = options.set_first_byte_timeout(nanoseconds(self.first_byte_ms));
        let _ = options.set_between_bytes_timeout(nanoseconds(self.between_bytes_ms));

        let body = (self.send > 0).then(|| request.body().expect("a new request still has its body"));
        let coming = outgoing_handler::handle(request, Some(options)).map_err(|error| error.to_string())?;
        if let Some(body) = body {
            // A host that has had enough closes the stream, and the response says why.
            if let Ok(mut stream) = body.write() {
                let _ = stream.write_all(&vec![b'x'; self.send]);
            }
            let _ = OutgoingBody::finish(body, None);
        }
        Ok(coming)
    }

    fn receive(&self, sent: Result<FutureIncomingResponse, String>) -> Value {
        let coming = match sent {
            Ok(coming) => coming,
            Err(error) => return json!({ "error": error }),
        };
        coming.subscribe().block();
        let response = match coming.get().expect("it was waited for").expect("it is taken once") {
            Ok(response) => response,
            Err(error) => return json!({ "error": error.to_string() }),
        };
        let headers: Vec<_> = response
            .headers()
            .entries()
            .into_iter()
            .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
            .collect();
        if self.head_only {
            return json!({ "status": response.status(), "headers": headers });
        }
        let (body, error) = read(response.consume().expect("a new response still has its body"));
        json!({
            "status": response.status(),
            "headers": headers,
            "bytes": body.len(),
            "body": (body.len() <= SHOWN).then(|| BASE64_STANDARD.encode(&body)),
            "broke_off": error,
        })
    }
}

/// What came of the body, and why no more of it did.
fn read(body: IncomingBody) -> (Vec<u8>, Option<String>) {
    let stream = body.stream().expect("a new body still has its stream");
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(CHUNK) {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => return (bytes, None),
            Err(StreamError::LastOperationFailed(error)) => return (bytes, Some(error.to_debug_string())),
        }
    }
}
