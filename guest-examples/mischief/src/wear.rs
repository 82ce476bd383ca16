//! It is not the same the second time: what no instance does that serves once.

use std::sync::atomic::{AtomicU64, Ordering};

use plain_http::Response;
use serde_json::json;

use crate::{endings, greed};

static CALLS: AtomicU64 = AtomicU64::new(0);

/// The calls that this instance has had, with this one.
fn calls() -> u64 {
    CALLS.fetch_add(1, Ordering::Relaxed) + 1
}

pub(crate) fn count() -> Response {
    Response::json(200, &json!({ "count": calls() }))
}

pub(crate) fn traps_when_used_again() -> Response {
    if calls() > 1 {
        endings::trap();
    }
    Response::new(200)
}

pub(crate) fn spins_when_used_again() -> Response {
    if calls() > 1 {
        greed::spin_for_ever();
    }
    Response::new(200)
}

/// `None`: no response.
pub(crate) fn silent_when_used_again() -> Option<Response> {
    (calls() == 1).then(|| Response::new(200))
}

pub(crate) fn leak(mib: u64) -> Response {
    greed::leak(mib);
    count()
}
