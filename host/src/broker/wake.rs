//! Wakes a plain thread that polls: by librdkafka's queues, by workers that made room, by a command.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

/// One polling thread's bell. Ringing it costs one atomic swap while the thread is awake.
#[derive(Debug, Default)]
pub struct Wake {
    rung: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Wake {
    /// Wakes the thread, now or when it next wants to sleep.
    pub fn wake(&self) {
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Sleeps until woken, at most for `timeout`. Always called by the same thread.
    pub fn sleep(&self, timeout: Duration) {
        self.thread.get_or_init(thread::current);
        if !self.rung.swap(false, Ordering::AcqRel) {
            thread::park_timeout(timeout);
            self.rung.store(false, Ordering::Release);
        }
    }
}
