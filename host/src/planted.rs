//! Faults that are planted on purpose: a checker that never finds anything shows nothing. `tests/whole_way/test_checker.py`
//! runs a host with each of them, and the checker must find it; `test_failpoints.py` has a host die at each of its steps, and
//! nothing may be lost.
//!
//! They are there only with the feature `planted-faults`, which no build but that of the tests has; without it every
//! question below is a constant `false`, and nothing is left of what depends on it. `CALLGATE_PLANTED_FAULT` names the one
//! that is asked for.

#[cfg(feature = "planted-faults")]
mod asked_for {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{LazyLock, Mutex, PoisonError};

    static FAULT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("CALLGATE_PLANTED_FAULT").ok());
    static BEFORE: LazyLock<Mutex<HashMap<String, String>>> = LazyLock::new(Mutex::default);
    static PASSED: AtomicU32 = AtomicU32::new(0);
    /// By then there is something to lose.
    const PASSES: u32 = 20;

    /// Whether this fault is asked for.
    pub(crate) fn fault(name: &str) -> bool {
        FAULT.as_deref() == Some(name)
    }

    /// With this fault, gives the value that was given for `of` the last time.
    pub(crate) fn outdated(name: &str, of: &str, value: String) -> String {
        if !fault(name) {
            return value;
        }
        let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        before.insert(of.to_owned(), value).unwrap_or_default()
    }

    /// With this fault, ends the process as `kill -9` would, when it has come by here for some time.
    pub(crate) fn die(name: &str) {
        if fault(name) && PASSED.fetch_add(1, Ordering::Relaxed) >= PASSES {
            std::process::abort();
        }
    }
}

#[cfg(not(feature = "planted-faults"))]
mod asked_for {
    /// Whether this fault is asked for.
    pub(crate) const fn fault(_: &str) -> bool {
        false
    }

    /// The value.
    pub(crate) fn outdated(_: &str, _: &str, value: String) -> String {
        value
    }

    /// Nothing.
    pub(crate) const fn die(_: &str) {}
}

pub(crate) use asked_for::{die, fault, outdated};
