//! What the files may say one day and this version does not do.
//!
//! A key that is accepted and does nothing would be a lie, so each of these is refused with a sentence. When a feature
//! arrives, its rows go.

/// What is written at a path of [`UNSUPPORTED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written<'a> {
    /// The key, with whatever value.
    Key,
    /// The key with this text as its value.
    Text(&'a str),
    /// The key with a table as its value.
    Table,
}

/// Path (a `*` stands for any name), what is written there, and what to do instead.
const UNSUPPORTED: &[(&str, Written<'static>, &str)] = &[
    ("tenants.*.outbound", Written::Key, "remove the key: handlers make no outgoing requests"),
    ("middleware", Written::Key, "remove the key and compose the components before they are deployed"),
    (
        "max_next_calls",
        Written::Key,
        "remove the key: it belongs to `middleware`, which this version does not have either",
    ),
    (
        "routes.circuit_breaker",
        Written::Key,
        "remove the key: a route is never paused by the share of its dead letters",
    ),
    ("routes.instances", Written::Text("reuse"), "use \"fresh\": each record gets an instance of its own"),
    ("routes.instances", Written::Table, "use \"fresh\": each record gets an instance of its own"),
];

/// What to do instead, if what is written at `path` belongs to a feature that this version does not have.
pub(crate) fn instead(path: &str, written: Written<'_>) -> Option<&'static str> {
    UNSUPPORTED.iter().find(|(known, form, _)| *known == path && *form == written).map(|(_, _, instead)| *instead)
}
