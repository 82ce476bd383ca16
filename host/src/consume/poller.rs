//! A plain thread that polls some groups. Guests never run on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::group::Group;
use crate::broker::Wake;

/// A polling thread and its bell.
pub struct Poller {
    wake: Arc<Wake>,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Poller {
    /// Starts the thread. All groups must have been made with `wake`.
    pub fn start(groups: Vec<Group>, wake: Arc<Wake>) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let (bell, stop) = (wake.clone(), stopping.clone());
        let thread = thread::Builder::new()
            .name("consume".into())
            .spawn(move || run(groups, &bell, &stop))
            .expect("the system has a thread left");
        Self { wake, stopping, thread }
    }

    /// Begins to drain its groups.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake.wake();
    }

    /// Waits until its groups have been left.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!(target: "callgate::consume", code = "run.host-failed", "a polling thread panicked");
        }
    }
}

fn run(mut groups: Vec<Group>, wake: &Wake, stopping: &AtomicBool) {
    while !groups.is_empty() {
        if stopping.load(Ordering::Acquire) {
            groups.iter_mut().for_each(Group::stop);
        }
        let pause = groups.iter_mut().map(Group::step).min().unwrap_or(Duration::ZERO);
        groups.retain(|group| !group.is_stopped());
        if !pause.is_zero() {
            wake.sleep(pause);
        }
    }
}
