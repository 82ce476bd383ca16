//! SIGTERM and SIGINT drain; a second one ends at once.

use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::pipeline::Host;

/// The exit status of a process that was told to stop twice.
const STOPPED_TWICE: i32 = 1;

/// Waits for a signal, then drains the host.
pub(super) async fn drain_on_signals(host: Host) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    next(&mut terminate, &mut interrupt).await;
    tracing::info!(target: "callgate", "draining: work that has begun ends and is committed; a second signal ends at once");
    let drained = tokio::task::spawn_blocking(|| host.drain());
    tokio::select! {
        _ = drained => tracing::info!(target: "callgate", "drained"),
        () = next(&mut terminate, &mut interrupt) => {
            tracing::warn!(target: "callgate", "ended at once; records whose end was not committed come again");
            process::exit(STOPPED_TWICE);
        }
    }
    Ok(())
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
