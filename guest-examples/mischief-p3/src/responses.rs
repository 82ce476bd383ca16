//! How it responds, and how one should not.

use serde_json::Value;
use wasip3::http::types::{ErrorCode, Fields, Response, Trailers};
use wasip3::wit_bindgen::{FutureWriter, StreamWriter};
use wasip3::{spawn_local, wit_future, wit_stream};

use crate::greed;

/// A response's body, as it is written.
pub(crate) struct Body {
    pub(crate) contents: StreamWriter<u8>,
    /// What is written here ends the body; letting it go ends it as well, without trailers.
    pub(crate) end: FutureWriter<Result<Option<Trailers>, ErrorCode>>,
}

impl Body {
    /// Writes the bytes, and ends the body.
    pub(crate) async fn finish(mut self, bytes: Vec<u8>) {
        let rest = self.contents.write_all(bytes).await;
        assert!(rest.is_empty(), "the host hung up");
    }
}

/// A response with these headers, and its body to write.
pub(crate) fn begin(status: u16, headers: &[(String, Vec<u8>)]) -> (Response, Body) {
    let (contents, reader) = wit_stream::new();
    let (end, trailers) = wit_future::new(|| Ok(None));
    let headers = Fields::from_list(headers).expect("the headers are valid");
    let (response, _) = Response::new(headers, Some(reader), trailers);
    response.set_status_code(status).expect("the status is valid");
    (response, Body { contents, end })
}

pub(crate) fn whole(status: u16, headers: &[(String, Vec<u8>)], bytes: Vec<u8>) -> Response {
    let (response, body) = begin(status, headers);
    spawn_local(body.finish(bytes));
    response
}

pub(crate) fn status(status: u16) -> Response {
    whole(status, &[], Vec::new())
}

pub(crate) fn json(value: &Value) -> Response {
    let content_type = ("content-type".to_owned(), b"application/json".to_vec());
    whole(200, &[content_type], value.to_string().into_bytes())
}

pub(crate) fn large(bytes: u64) -> Response {
    whole(200, &[], vec![b'x'; bytes as usize])
}

pub(crate) fn huge_headers(count: u64, bytes: u64) -> Response {
    let header = ("x-huge".to_owned(), vec![b'x'; bytes as usize]);
    whole(200, &vec![header; count as usize], Vec::new())
}

pub(crate) fn trailers() -> Response {
    let (response, mut body) = begin(200, &[]);
    spawn_local(async move {
        body.contents.write_all(b"hello".to_vec()).await;
        drop(body.contents);
        let trailer = ("x-sum".to_owned(), b"5".to_vec());
        let trailers = Fields::from_list(&[trailer]).expect("a trailer is valid");
        // Whether anybody wants them is not ours to know.
        let _ = body.end.write(Ok(Some(trailers))).await;
    });
    response
}

pub(crate) fn wrong_content_length() -> Response {
    let promise = ("content-length".to_owned(), b"100".to_vec());
    whole(200, &[promise], b"hello".to_vec())
}

pub(crate) fn given_up_body() -> Response {
    let (response, mut body) = begin(200, &[]);
    spawn_local(async move {
        body.contents.write_all(b"hello".to_vec()).await;
        drop(body.contents);
        let _ = body.end.write(Err(ErrorCode::InternalError(None))).await;
    });
    response
}

pub(crate) fn unfinished_body() -> Response {
    let (response, mut body) = begin(200, &[]);
    spawn_local(async move {
        body.contents.write_all(b"hello".to_vec()).await;
        std::mem::forget(body);
    });
    response
}

pub(crate) fn stalled_body() -> Response {
    let (response, mut body) = begin(200, &[]);
    spawn_local(async move {
        body.contents.write_all(b"hello".to_vec()).await;
        greed::sleep_for_ever().await;
        drop(body);
    });
    response
}

pub(crate) fn endless_body() -> Response {
    let (response, mut body) = begin(200, &[]);
    spawn_local(async move { while body.contents.write_all(vec![b'x'; 4096]).await.is_empty() {} });
    response
}

pub(crate) fn empty_writes() -> Response {
    let (response, mut body) = begin(200, &[]);
    spawn_local(async move {
        loop {
            body.contents.write(Vec::new()).await;
        }
    });
    response
}
