use std::io::Write;

use wasip2::http::types::{IncomingBody, OutgoingBody};
use wasip2::io::streams::StreamError;

/// How much of a body is asked for at once.
const CHUNK: u64 = 64 * 1024;

pub(crate) fn read(body: IncomingBody) -> Vec<u8> {
    let stream = body.stream().expect("a new body still has its stream");
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(CHUNK) {
            Ok(chunk) if bytes.is_empty() => bytes = chunk,
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => return bytes,
            Err(StreamError::LastOperationFailed(error)) => panic!("the body broke off: {error}"),
        }
    }
}

pub(crate) fn write(body: &OutgoingBody, bytes: &[u8]) {
    let mut stream = body.write().expect("a new body still has its stream");
    stream.write_all(bytes).expect("the other side takes the body");
}
