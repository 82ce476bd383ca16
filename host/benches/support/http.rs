//! Plain HTTP/1.1, as a client that keeps its connections.

use std::error::Error;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A connection that is kept open.
pub(crate) struct Connection {
    address: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// # Errors
    ///
    /// Where nobody listens there.
    pub(crate) async fn open(address: &str) -> Result<Self, Box<dyn Error>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // A fault of it is told to whoever sends.
        tokio::task::spawn_local(async { drop(connection.await) });
        Ok(Self { address: address.to_owned(), sender })
    }

    /// Posts an order, and returns the whole response.
    ///
    /// # Errors
    ///
    /// Where the connection breaks.
    pub(crate) async fn post(&mut self, path: &str, order: Bytes) -> Result<(StatusCode, Bytes), Box<dyn Error>> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::HOST, &self.address)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(order))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}
