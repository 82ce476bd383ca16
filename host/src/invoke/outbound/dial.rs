//! A new connection: resolve, check, connect, check again, secure.

use std::io;
use std::net::{IpAddr, SocketAddr};

use callgate_core::origin::Origin;
use hyper::client::conn::http1;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::io::TokioIo;

use super::OutboundLimits;
use super::body::RequestBody;
use super::destination::{Destination, Tls};
use super::failure::{Failure, Outcome};
use super::network::Io;
use super::pool::Connection;

/// The least that hyper takes for its read buffer; it is the response's head that has to fit.
const MIN_BUFFER: usize = 8 << 10;

/// Dials a destination. To be bounded in time by the caller.
pub(super) async fn dial(destination: &Destination, limits: &OutboundLimits, io: &Io) -> Result<Connection, Failure> {
    let addresses = destination.addresses(io).await?;
    let stream = connect(&destination.origin, &addresses).await?;
    check_peer(destination, &addresses, stream.peer_addr())?;
    // Requests are written in one go; waiting for more would only delay them.
    stream.set_nodelay(true).map_err(|error| Failure::connecting(&error))?;
    match &destination.tls {
        None => handshake(stream, limits).await,
        Some(Tls { connector, name }) => {
            let secured = connector.connect(name.clone(), stream).await.map_err(|error| Failure::securing(&error))?;
            handshake(secured, limits).await
        }
    }
}

/// The first of the addresses that answers.
async fn connect(origin: &Origin, addresses: &[IpAddr]) -> Result<TcpStream, Failure> {
    let mut failed = None;
    for address in addresses {
        match TcpStream::connect(SocketAddr::new(*address, origin.port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = Some(error),
        }
    }
    Err(Failure::connecting(&failed.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())))
}

/// Whether who answers is who was dialled. Nothing known to us makes this differ; if something ever does, it is not to be
/// how the checks are passed by.
fn check_peer(destination: &Destination, dialled: &[IpAddr], peer: io::Result<SocketAddr>) -> Result<(), Failure> {
    let peer = peer.map_err(|error| Failure::connecting(&error))?;
    destination.check(&[peer.ip()])?;
    if dialled.contains(&peer.ip()) && peer.port() == destination.origin.port {
        return Ok(());
    }
    let reason = format!("{peer} answers, which was not dialled");
    Err(Failure::new(Outcome::ForbiddenAddress, Error::DestinationIpProhibited, reason))
}

async fn handshake<S>(stream: S, limits: &OutboundLimits) -> Result<Connection, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, driver) = http1::Builder::new()
        .max_headers(limits.max_headers)
        .max_header_size(limits.max_header_bytes)
        .max_buf_size(limits.max_header_bytes.max(MIN_BUFFER))
        .handshake::<_, RequestBody>(TokioIo::new(stream))
        .await
        .map_err(|error| Failure::exchanging(&error))?;
    // Its errors are those of the requests that it carries, and told there.
    let driver = tokio::spawn(async move { drop(driver.await) });
    Ok(Connection::new(sender, driver))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::network::Network;
    use super::*;
    use crate::config::AllowedOrigin;

    #[test]
    fn who_answers_is_who_was_dialled() {
        let network = Network::with(Arc::new(|_| Ok(Vec::new())), Duration::ZERO).expect("a thread");
        let origin = Origin::parse("https://api.example.com").expect("an origin");
        let destination = Destination::new(&AllowedOrigin { origin, private: false, authorities: None }, &network);
        let dialled = ["1.1.1.1", "2606:4700::1111"].map(|address| address.parse().expect("an address"));
        let check = |peer: &str| check_peer(&destination, &dialled, Ok(peer.parse().expect("a peer")));
        assert!(check("1.1.1.1:443").is_ok() && check("[2606:4700::1111]:443").is_ok());
        for peer in ["1.1.1.1:80", "1.1.1.2:443", "127.0.0.1:443", "[::ffff:1.1.1.1]:443"] {
            assert!(matches!(check(peer), Err(Failure { outcome: Outcome::ForbiddenAddress, .. })), "{peer}");
        }
    }
}
