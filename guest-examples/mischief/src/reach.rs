//! It tries what it may not, and answers with what came of it.

use std::collections::BTreeMap;
use std::io::Read;

use base64::{Engine, prelude::BASE64_STANDARD};
use plain_http::Response;
use serde_json::{Value, json};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{ErrorCode, Fields, OutgoingBody, OutgoingRequest, Scheme};
use wasip2::sockets::network::{ErrorCode as SocketError, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::{instance_network, ip_name_lookup, tcp_create_socket};
use wasip2::{clocks, filesystem, random};

pub(crate) fn env() -> Response {
    let variables: BTreeMap<String, String> = std::env::vars().collect();
    Response::json(200, &variables)
}

pub(crate) fn arguments() -> Response {
    let arguments: Vec<String> = std::env::args().collect();
    Response::json(200, &json!({ "arguments": arguments }))
}

pub(crate) fn stdin() -> Response {
    let mut bytes = Vec::new();
    Response::json(
        200,
        &match std::io::stdin().read_to_end(&mut bytes) {
            Ok(_) => json!({ "stdin": BASE64_STANDARD.encode(bytes) }),
            Err(error) => json!({ "error": error.to_string() }),
        },
    )
}

pub(crate) fn random() -> Response {
    let bytes = random::random::get_random_bytes(16);
    Response::json(200, &json!({ "random": BASE64_STANDARD.encode(bytes) }))
}

pub(crate) fn clock() -> Response {
    let wall = clocks::wall_clock::now();
    Response::json(
        200,
        &json!({
            "wall_ms": wall.seconds * 1_000 + u64::from(wall.nanoseconds) / 1_000_000,
            "monotonic_ns": clocks::monotonic_clock::now(),
        }),
    )
}

pub(crate) fn filesystem() -> Response {
    let preopens: Vec<String> = filesystem::preopens::get_directories().into_iter().map(|(_, path)| path).collect();
    let error = std::fs::read("/etc/hostname").err().map(|error| error.to_string());
    Response::json(200, &json!({ "preopens": preopens, "error": error }))
}

pub(crate) fn socket() -> Response {
    Response::json(200, &json!({ "connect": came_of(connect()), "lookup": came_of(look_up()) }))
}

fn connect() -> Result<(), SocketError> {
    let socket = tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4)?;
    let discard = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 9, address: (127, 0, 0, 1) });
    socket.start_connect(&instance_network::instance_network(), discard)?;
    socket.subscribe().block();
    socket.finish_connect()?;
    Ok(())
}

fn look_up() -> Result<(), SocketError> {
    let addresses = ip_name_lookup::resolve_addresses(&instance_network::instance_network(), "localhost")?;
    addresses.subscribe().block();
    addresses.resolve_next_address()?;
    Ok(())
}

fn came_of(result: Result<(), SocketError>) -> Value {
    match result {
        Ok(()) => json!({}),
        Err(error) => json!({ "error": error.name() }),
    }
}

pub(crate) fn outbound(url: &str) -> Response {
    Response::json(
        200,
        &match get(url) {
            Ok(response) => json!({ "status": response.status, "body": BASE64_STANDARD.encode(response.body) }),
            Err(error) => json!({ "error": error.to_string() }),
        },
    )
}

fn get(url: &str) -> Result<Response, ErrorCode> {
    let url: http::Uri = url.parse().map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    let request = OutgoingRequest::new(Fields::new());
    let scheme = if url.scheme_str() == Some("https") { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).expect("the scheme is valid");
    request.set_authority(url.authority().map(|authority| authority.as_str())).expect("the authority is valid");
    request.set_path_with_query(url.path_and_query().map(|path| path.as_str())).expect("the path is valid");
    OutgoingBody::finish(request.body().expect("a new request still has its body"), None)?;
    Response::receive(outgoing_handler::handle(request, None)?)
}
