//! The rule for names of tenants, handlers and groups.

use super::fault::{Code, Fault, Place};

/// The rule in words, for messages.
pub(crate) const RULE: &str = "up to 63 characters of a-z, 0-9, `-` and `_`, the first a letter or a digit";

/// Whether `name` may name a tenant, a handler or a group: no dot, since a consumer group's name joins them with dots.
pub fn is_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    let bytes = name.as_bytes();
    matches!(bytes, [first, ..] if first.is_ascii_lowercase() || first.is_ascii_digit())
        && bytes.len() <= 63
        && bytes.iter().all(|byte| inner(*byte))
}

/// A fault if `name` breaks the rule. `what` says what it would name.
pub(crate) fn check_name(what: &str, name: &str, place: &Place) -> Result<(), Fault> {
    if is_name(name) {
        return Ok(());
    }
    Err(Fault::new(place, Code::InvalidName, format!("\"{name}\" cannot name a {what}"), format!("use {RULE}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_out_what_would_be_ambiguous_elsewhere() {
        for name in ["a", "0", "orders", "my-shop_2", &"a".repeat(63)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-a", "_a", "Orders", "a.b", "a b", "é", "a/b", &"a".repeat(64)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
