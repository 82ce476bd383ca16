//! SIGTERM and SIGINT drain; a second one ends at once. SIGHUP reads the operator's file again.

use std::{io, process};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::pipeline::Reconciler;

/// The exit status of a process that was told to stop twice.
const STOPPED_TWICE: i32 = 1;

/// What a signal asks for.
pub(super) enum Asked {
    /// To read the operator's file again.
    Reload,
    /// To drain, and end.
    Stop,
}

/// The signals that the host listens to.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From here on the signals no longer end the process by themselves.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one of them.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    /// Drains the host, unless another signal to stop comes.
    pub(super) async fn drain(mut self, host: Reconciler) {
        tracing::info!(target: "callgate", "draining: work that has begun ends and is committed; a second signal ends at once");
        let mut drained = tokio::task::spawn_blocking(|| host.drain());
        loop {
            tokio::select! {
                _ = &mut drained => return tracing::info!(target: "callgate", "drained"),
                asked = self.next() => match asked {
                    Asked::Reload => {}
                    Asked::Stop => {
                        tracing::warn!(target: "callgate", "ended at once; records whose end was not committed come again");
                        process::exit(STOPPED_TWICE);
                    }
                },
            }
        }
    }
}
