//! When a record may be tried again.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

#[cfg(test)]
mod tests;

/// How often and how fast a route tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Calls in all, the first one included.
    pub attempts: u32,
    /// The back-off after the first call; it doubles with each further one.
    pub backoff: Duration,
    /// No wait is longer, whatever the back-off or a `Retry-After` says.
    pub max_backoff: Duration,
}

impl RetryPolicy {
    /// How long to wait after call number `attempt` (from 1).
    ///
    /// The back-off is exponential with *equal jitter*: half of it is certain, half is drawn. So what failed together
    /// does not come back together, and yet nothing comes back at once. `jitter` is uniform in `[0, 1)`.
    /// `retry_after`, where the response asked for it, replaces the back-off, up to [`max_backoff`](Self::max_backoff).
    pub fn delay(&self, attempt: u32, jitter: f64, retry_after: Option<Duration>) -> Duration {
        if let Some(asked) = retry_after {
            return asked.min(self.max_backoff);
        }
        let doublings = attempt.saturating_sub(1).min(31);
        let full = self.backoff.saturating_mul(1 << doublings).min(self.max_backoff);
        let half = full / 2;
        half + half.mul_f64(jitter.clamp(0.0, 1.0))
    }
}

/// What a response's `Retry-After` asks for: seconds or an HTTP date (RFC 9110, section 10.2.3). A date that has
/// passed is zero; what is neither asks for nothing. `now` is the time since the Unix epoch.
pub fn retry_after(headers: &HeaderMap, now: Duration) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(date.saturating_sub(now))
}
