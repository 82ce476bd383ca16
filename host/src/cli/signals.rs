//! SIGTERM and SIGINT drain; a second one ends at once.

use std::{io, process};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::pipeline::Host;

/// The exit status of a process that was told to stop twice.
const STOPPED_TWICE: i32 = 1;

/// The two signals that mean: stop.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From here on the signals no longer end the process by themselves.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one of them.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Drains the host, unless another signal comes.
    pub(super) async fn drain(mut self, host: Host) {
        tracing::info!(target: "callgate", "draining: work that has begun ends and is committed; a second signal ends at once");
        let drained = tokio::task::spawn_blocking(|| host.drain());
        tokio::select! {
            _ = drained => tracing::info!(target: "callgate", "drained"),
            () = self.next() => {
                tracing::warn!(target: "callgate", "ended at once; records whose end was not committed come again");
                process::exit(STOPPED_TWICE);
            }
        }
    }
}
