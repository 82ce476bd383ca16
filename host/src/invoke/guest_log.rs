//! What guests write to stdout and stderr, as lines of the host's log.
//!
//! A guest must never be stopped by its own output, nor the log be flooded or forged by it: writing always succeeds,
//! whole lines go to the target `guest` with their control characters escaped, and what exceeds the tenant's rate is
//! dropped, counted, and reported now and then in one line.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use std::{io, mem};

use bytes::Bytes;
use callgate_core::printable::Printable;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::Callable;

/// Bytes of a line in the log; a longer one is cut into several.
const LINE_BYTES: usize = 8 << 10;

/// Bytes that a guest is told it may write at once.
const WRITE_BYTES: usize = 64 << 10;

/// How often dropped output is reported.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The rate at which a tenant's guests may write: a token bucket that holds one second's worth.
#[derive(Debug)]
pub struct LogBudget {
    rate: u64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: u64,
    filled: Instant,
    dropped: u64,
    reported: Option<Instant>,
}

/// Whether a line may be written.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Write,
    Drop,
    /// Drop it, and say how many bytes were dropped since the last report.
    DropAndReport(u64),
}

impl LogBudget {
    /// So many bytes a second.
    pub fn new(bytes_per_second: u64) -> Self {
        let bucket = Bucket { tokens: bytes_per_second, filled: Instant::now(), dropped: 0, reported: None };
        Self { rate: bytes_per_second, bucket: Mutex::new(bucket) }
    }

    /// Nothing at all, and no word about it.
    pub(super) fn closed() -> Self {
        Self::new(0)
    }

    /// Whether a line of so many bytes may be written: what a guest writes, or what the host has to say of what it did.
    /// What may not is counted, and reported now and then.
    pub(super) fn admits(&self, bytes: usize, tenant: &str, handler: &str) -> bool {
        match self.spend(bytes as u64, Instant::now()) {
            Verdict::Write => true,
            Verdict::Drop => false,
            Verdict::DropAndReport(dropped) => {
                tracing::warn!(
                    target: "guest", %tenant, %handler, dropped,
                    "{dropped} bytes of guest output dropped: the tenant's handlers write more than `max_log` allows"
                );
                false
            }
        }
    }

    fn spend(&self, bytes: u64, now: Instant) -> Verdict {
        if self.rate == 0 {
            return Verdict::Drop;
        }
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(bucket.filled).as_millis().min(1000) as u64;
        if elapsed > 0 {
            bucket.tokens = bucket.tokens.saturating_add(self.rate.saturating_mul(elapsed) / 1000).min(self.rate);
            bucket.filled = now;
        }
        if let Some(left) = bucket.tokens.checked_sub(bytes) {
            bucket.tokens = left;
            return Verdict::Write;
        }
        bucket.dropped += bytes;
        if bucket.reported.is_some_and(|reported| now.saturating_duration_since(reported) < REPORT_INTERVAL) {
            return Verdict::Drop;
        }
        bucket.reported = Some(now);
        Verdict::DropAndReport(mem::take(&mut bucket.dropped))
    }
}

/// Which of its two streams a guest wrote to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One stream of one call. All handles that the guest takes to it share the line that is being written.
#[derive(Clone)]
pub(super) struct GuestLog(Arc<Lines>);

struct Lines {
    tenant: Arc<str>,
    handler: Arc<str>,
    /// Which of several components.
    component: Option<Arc<str>>,
    budget: Arc<LogBudget>,
    stream: Stream,
    unfinished: Mutex<Vec<u8>>,
}

impl GuestLog {
    /// Of the component at that position of the handler's chain.
    pub(super) fn new(callable: &Callable, position: usize, stream: Stream) -> Self {
        Self(Arc::new(Lines {
            tenant: callable.tenant.clone(),
            handler: callable.handler.clone(),
            component: (callable.chain.len() > 1).then(|| callable.chain[position].name.clone()),
            budget: callable.log.clone(),
            stream,
            unfinished: Mutex::default(),
        }))
    }

    /// What was left without a line break is a line too, once its call has ended.
    pub(super) fn end_line(&self) {
        self.0.end_line();
    }
}

impl Lines {
    fn unfinished(&self) -> MutexGuard<'_, Vec<u8>> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, mut bytes: &[u8]) {
        let mut unfinished = self.unfinished();
        while !bytes.is_empty() {
            let room = LINE_BYTES - unfinished.len();
            let window = &bytes[..bytes.len().min(room)];
            let end = window.iter().position(|&byte| byte == b'\n');
            let taken = end.unwrap_or(window.len());
            unfinished.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken + usize::from(end.is_some())..];
            if end.is_some() || unfinished.len() == LINE_BYTES {
                self.log(&unfinished);
                unfinished.clear();
            }
        }
    }

    fn end_line(&self) {
        let line = mem::take(&mut *self.unfinished());
        if !line.is_empty() {
            self.log(&line);
        }
    }

    fn log(&self, line: &[u8]) {
        let Self { tenant, handler, budget, .. } = self;
        // The line break counts as well: empty lines are no free way to fill the log.
        if budget.admits(line.len() + 1, tenant, handler) {
            let (component, stream, line) = (self.component.as_deref(), self.stream.name(), escape(line));
            tracing::info!(target: "guest", %tenant, %handler, component, stream, "{line}");
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.end_line();
    }
}

/// The line as text in which no byte can pass for another line or steer a terminal.
fn escape(line: &[u8]) -> String {
    Printable(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line))).to_string()
}

impl IsTerminal for GuestLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestLog {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    /// WASI 0.3 asks for this one.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for GuestLog {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let bytes = &bytes[..bytes.len().min(WRITE_BYTES)];
        self.0.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Pollable for GuestLog {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for GuestLog {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_text_stays() {
        assert_eq!(escape("Kaffee für Łukasz\t☕\r".as_bytes()), "Kaffee für Łukasz\t☕");
        assert_eq!(escape(b"a\x1b[31mred\nforged\0"), "a\\u{1b}[31mred\\nforged\\u{0}");
        assert_eq!(escape("a\u{2028}b\u{202e}c".as_bytes()), "a\\u{2028}b\\u{202e}c");
        assert_eq!(escape(b"\xff"), "\u{fffd}");
    }

    #[test]
    fn the_rate_is_bounded_and_what_is_dropped_is_reported_once_in_a_while() {
        let budget = LogBudget::new(100);
        let start = Instant::now();
        assert_eq!(budget.spend(60, start), Verdict::Write);
        assert_eq!(budget.spend(60, start), Verdict::DropAndReport(60));
        assert_eq!(budget.spend(60, start), Verdict::Drop);
        let later = start + REPORT_INTERVAL;
        assert_eq!(budget.spend(60, later), Verdict::Write);
        assert_eq!(budget.spend(60, later), Verdict::DropAndReport(120));
    }
}
