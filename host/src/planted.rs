//! Faults that are planted on purpose: a checker that never finds anything shows nothing. `tests/whole_way/test_checker.py`
//! runs a host with each of them, and the checker must find it.
//!
//! They are there only with the feature `planted-faults`, which no build but that of the tests has; without it every
//! question below is a constant `false`, and nothing is left of what depends on it. `CALLGATE_PLANTED_FAULT` names the one
//! that is asked for.

#[cfg(feature = "planted-faults")]
mod asked_for {
    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex, PoisonError};

    static FAULT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("CALLGATE_PLANTED_FAULT").ok());
    static BEFORE: LazyLock<Mutex<HashMap<String, String>>> = LazyLock::new(Mutex::default);

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
}

pub(crate) use asked_for::{fault, outdated};
