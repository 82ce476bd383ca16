//! Outgoing requests: a real guest, real servers on this machine, and a resolver of the test's own.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use callgate_core::origin::Origin;
use serde_json::json;

use super::*;
use crate::config::AllowedOrigin;

mod addresses;
mod exchanges;
mod server;
mod tls;

use server::Server;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A network in which names have the addresses that `resolve` says, asked anew for each dial.
fn network(resolve: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Network {
    Network::with(Arc::new(resolve), Duration::ZERO).expect("a thread")
}

/// One in which every name is this machine.
fn local_network() -> Network {
    network(|_| Ok(vec![LOOPBACK]))
}

fn allowed(origin: &str, private: bool) -> AllowedOrigin {
    let origin = Origin::parse(origin).unwrap_or_else(|fault| panic!("{origin}: {fault:?}"));
    AllowedOrigin { origin, private, authorities: None }
}

const OUTBOUND_LIMITS: OutboundLimits = OutboundLimits {
    connections: 8,
    max_request_body: 1 << 20,
    max_response_body: 1 << 20,
    max_headers: 256,
    max_header_bytes: 64 << 10,
};

/// Mischief, as a handler of a tenant that may call these.
fn caller(tenant: &str, origins: &[AllowedOrigin], limits: OutboundLimits, network: &Network) -> Arc<Callable> {
    mischief_as_caller(&MISCHIEF, tenant, origins, limits, network)
}

/// The same, of either version of WASI.
fn mischief_as_caller(
    mischief: &Callable,
    tenant: &str,
    origins: &[AllowedOrigin],
    limits: OutboundLimits,
    network: &Network,
) -> Arc<Callable> {
    let tenant: Arc<str> = tenant.into();
    Arc::new(Callable {
        outbound: Arc::new(Outbound::new(&tenant, origins, limits, network)),
        tenant,
        handler: "mischief".into(),
        chain: mischief.chain.clone(),
        max_next_calls: 1,
        env: Vec::new(),
        log: Arc::new(LogBudget::new(64 << 10)),
        reuse: Reuse::default(),
    })
}

/// One that may call this server by this name.
fn caller_of(server: &Server, network: &Network) -> Arc<Callable> {
    caller("acme", &[allowed(&format!("http://api.test:{}", server.port), true)], OUTBOUND_LIMITS, network)
}

/// What came of the requests that mischief was to make.
async fn fetch(invoker: &Invoker, callable: &Arc<Callable>, wish: &Value) -> Vec<Value> {
    let response = invoker.call(callable, post("/fetch", wish.to_string()), &LIMITS).await.expect("a response");
    serde_json::from_slice(response.body()).expect("a list")
}

/// What came of the only one.
async fn fetch_one(invoker: &Invoker, callable: &Arc<Callable>, wish: &Value) -> Value {
    let [came] = fetch(invoker, callable, wish).await.try_into().expect("one request");
    came
}

/// A GET of `path` at the server of [`caller_of`].
fn wish(server: &Server, path: &str) -> Value {
    json!({ "authority": format!("api.test:{}", server.port), "path": path })
}

/// The wish with more to it.
fn with(mut wish: Value, more: Value) -> Value {
    let (Value::Object(wish_fields), Value::Object(more)) = (&mut wish, more) else { panic!("objects") };
    wish_fields.extend(more);
    wish
}

fn error(came: &Value) -> &str {
    came["error"].as_str().unwrap_or_else(|| panic!("it succeeded: {came}"))
}

fn body(came: &Value) -> String {
    use base64::prelude::*;
    let body = came["body"].as_str().unwrap_or_else(|| panic!("no body: {came}"));
    String::from_utf8(BASE64_STANDARD.decode(body).expect("base64")).expect("text")
}

/// How the requests of a tenant have ended.
fn outcomes(network: &Network, tenant: &str) -> Vec<(&'static str, u64)> {
    let of_tenant = network.outcomes().into_iter().filter(|count| &*count.tenant == tenant);
    of_tenant.map(|count| (count.outcome, count.requests)).collect()
}
