//! It tries what it may not, and answers with what came of it.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use wasip3::cli::{environment, stdin as cli_stdin};
use wasip3::clocks::{monotonic_clock, system_clock};
use wasip3::filesystem::preopens;
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use wasip3::random::random as cli_random;
use wasip3::sockets::ip_name_lookup;
use wasip3::sockets::types::{
    ErrorCode as SocketError, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket,
};
use wasip3::wit_future;

use crate::responses::json as answer;

pub(crate) fn env() -> Response {
    let variables: BTreeMap<String, String> = environment::get_environment().into_iter().collect();
    answer(&json!(variables))
}

pub(crate) fn arguments() -> Response {
    answer(&json!({ "arguments": environment::get_arguments() }))
}

pub(crate) async fn stdin() -> Response {
    let (bytes, _) = cli_stdin::read_via_stream();
    answer(&json!({ "stdin": BASE64_STANDARD.encode(bytes.collect().await) }))
}

pub(crate) fn random() -> Response {
    answer(&json!({ "random": BASE64_STANDARD.encode(cli_random::get_random_bytes(16)) }))
}

pub(crate) fn clock() -> Response {
    let wall = system_clock::now();
    answer(&json!({
        "wall_ms": wall.seconds * 1_000 + i64::from(wall.nanoseconds) / 1_000_000,
        "monotonic_ns": monotonic_clock::now(),
    }))
}

pub(crate) async fn filesystem() -> Response {
    let preopens: Vec<String> = preopens::get_directories().into_iter().map(|(_, path)| path).collect();
    let error = std::fs::read("/etc/hostname").err().map(|error| error.to_string());
    answer(&json!({ "preopens": preopens, "error": error }))
}

pub(crate) async fn socket() -> Response {
    let lookup = ip_name_lookup::resolve_addresses("localhost".to_owned()).await;
    let lookup = match lookup {
        Ok(_) => json!({}),
        Err(error) => json!({ "error": format!("{error:?}") }),
    };
    answer(&json!({ "connect": came_of(connect().await), "lookup": lookup }))
}

async fn connect() -> Result<(), SocketError> {
    let socket = TcpSocket::create(IpAddressFamily::Ipv4)?;
    let discard = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 9, address: (127, 0, 0, 1) });
    socket.connect(discard).await
}

fn came_of(result: Result<(), SocketError>) -> Value {
    match result {
        Ok(()) => json!({}),
        Err(error) => json!({ "error": format!("{error:?}") }),
    }
}

pub(crate) async fn outbound(url: &str) -> Response {
    answer(&match get(url).await {
        Ok((status, body)) => json!({ "status": status, "body": BASE64_STANDARD.encode(body) }),
        Err(error) => json!({ "error": error.to_string() }),
    })
}

async fn get(url: &str) -> Result<(u16, Vec<u8>), ErrorCode> {
    let url: http::Uri = url.parse().map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (request, _) = Request::new(Fields::new(), None, trailers, None);
    let scheme = if url.scheme_str() == Some("https") { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).expect("the scheme is valid");
    request.set_authority(url.authority().map(|authority| authority.as_str())).expect("the authority is valid");
    request.set_path_with_query(url.path_and_query().map(|path| path.as_str())).expect("the path is valid");
    let response = client::send(request).await?;
    let status = response.get_status_code();
    let (_, taken) = wit_future::new(|| Ok(()));
    let (contents, _) = Response::consume_body(response, taken);
    Ok((status, contents.collect().await))
}
