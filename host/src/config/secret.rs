//! Text that must not be printed.

use std::collections::BTreeMap;
use std::fmt;

use super::fault::{Code, Located};
use super::reader::{Section, Text};

/// A value that may be a credential. Neither its `Debug` nor anything else prints it; whoever needs it says so by
/// calling [`Secret::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that hands it to the client.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A tenant's secrets by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<String, Secret>);

impl Secrets {
    pub(crate) fn get(&self, name: &str) -> Option<&Secret> {
        self.0.get(name)
    }

    /// Their names: no secrets themselves.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Reads `secrets`, with the environment's overrides.
pub(crate) fn read_all(section: &mut Section<'_>) -> Secrets {
    const KEY: &str = "secrets";
    let mut written: BTreeMap<String, Located<Text>> =
        section.entries(KEY).into_iter().map(|(name, value)| (name.value, value)).collect();
    for (rest, value) in section.overrides_of(KEY) {
        // A variable's name is in capitals, as those of secrets mostly are, and has `_` for `-`.
        let name = written.keys().find(|name| name.to_ascii_lowercase().replace('-', "_") == rest).cloned();
        written.insert(name.unwrap_or_else(|| rest.to_ascii_uppercase()), value);
    }
    let mut secrets = Secrets::default();
    for (name, Located { value, place }) in written {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
            let message = format!("\"{}\" cannot name a secret", name.escape_debug());
            section.report(&place, Code::InvalidValue, message, "use letters, digits, `_` and `-`");
        } else if value.value.contains('\0') {
            let message = format!("`{}.{name}` holds a NUL", section.path(KEY));
            section.report(&place, Code::InvalidValue, message, "a secret is text for an environment variable");
        } else {
            secrets.0.insert(name, Secret::new(value.value));
        }
    }
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hunter2");
        assert!(!format!("{secret:?} {:#?}", Some(&secret)).contains("hunter2"));
        assert_eq!(secret.expose(), "hunter2");
    }
}
