//! The admin endpoint: `/healthz`, `/readyz`, `/metrics`. It holds no record data, so it needs no token.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::metrics::Metrics;
use crate::invoke::Network;
use crate::pipeline::Overview;

/// How long `/healthz` lets those have their turns that seem to be stuck.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// What the endpoint tells.
#[derive(Clone)]
pub struct Told {
    /// What runs.
    pub overview: Arc<Overview>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Which counts outgoing requests.
    pub network: Network,
}

/// Opens the endpoint, so that an address in use is a fault before the first record.
///
/// # Errors
/// A sentence that names the address.
pub async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).await.map_err(|error| {
        anyhow::anyhow!(
            "the admin endpoint cannot listen on {listen}: {error}; is another host running? Set [admin] listen"
        )
    })
}

/// Serves until the process ends.
///
/// # Errors
/// Where the listener fails for good.
pub async fn serve(listener: TcpListener, told: Told) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(told);
    axum::serve(listener, routes).await
}

/// 200 while every group is polled and every worker that has something to do goes on, whatever brokers and handlers do: what
/// 503 says only a restart can mend. The body has a line for each that does not.
async fn healthz(State(told): State<Told>) -> Response {
    let mut stuck = told.overview.stuck(Instant::now());
    if !stuck.is_empty() {
        // When the whole process was paused, the clock went on without its threads: they get their turns first.
        tokio::time::sleep(SECOND_LOOK).await;
        stuck = told.overview.stuck(Instant::now());
    }
    if stuck.is_empty() {
        return "alive\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, stuck.join("\n") + "\n").into_response()
}

/// 200 once every group is joined, which it is when each of its handlers is loaded or refused, or has no topic that is there,
/// and every assigned partition is polled. The body names what is not, each stopped partition, and each version that is being
/// loaded or was refused.
async fn readyz(State(told): State<Told>) -> Response {
    let overview = &told.overview;
    let (mut ready, mut lines, handlers) = (overview.is_decided(), String::new(), overview.handlers());
    if !ready && !handlers.iter().any(|handler| handler.loading) {
        lines += "the deploy directory is being read\n";
    }
    for group in overview.groups().iter() {
        let (group, now) = (&group.status, group.status.snapshot());
        let state = match (now.joined, now.opening, &now.unavailable) {
            _ if now.failed.is_some() => {
                format!("failed for good: {}; restart this host", now.failed.as_deref().unwrap_or_default())
            }
            (true, 0, _) => format!("joined, {} partitions", now.assigned),
            (true, opening, _) => format!("taking up {opening} partitions"),
            // One tenant's topic that is missing keeps no other tenant's records waiting.
            (false, _, Some(reason)) => format!("not joined: {reason}"),
            (false, _, None) => "joining".to_owned(),
        };
        ready &= (now.joined || now.unavailable.is_some()) && now.opening == 0 && now.failed.is_none();
        lines += &format!("{}: {state}\n", group.group_id);
        for (partition, reason) in &now.stopped {
            lines += &format!("{}: {partition} is stopped: {reason}\n", group.group_id);
        }
    }
    for refused in overview.refused_clients().iter() {
        ready = false;
        lines += &format!("{refused}\n");
    }
    for handler in handlers.iter() {
        if handler.loading {
            lines += &format!("{}: being loaded\n", handler.name);
        }
        if let Some(refused) = &handler.refused {
            let goes_on = if handler.running.is_some() { "; the version before goes on" } else { "" };
            lines += &format!("{}: refused{goes_on}: [{}]\n", handler.name, refused.code);
        }
    }
    for alert in overview.directory_alerts().iter() {
        lines += &format!("deploy directory: {alert}\n");
    }
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, lines).into_response()
}

async fn metrics(State(told): State<Told>) -> Response {
    match told.metrics.page(&told.overview, &told.network.outcomes()) {
        Ok(page) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], page).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
