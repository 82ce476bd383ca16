//! `${env:NAME}` and `${file:PATH}`: values that stand elsewhere.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of a file that a value stands in: a device has no end.
const MAX_CONTENT: u64 = 1 << 20;

/// The environment as it was at start: what the configuration may read of it.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// The environment of this process. Names that are not UTF-8 cannot be referred to and are left out.
    pub fn of_this_process() -> Self {
        Self(std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect())
    }

    /// The variables whose names start with `prefix`, in the order of their names.
    pub(crate) fn starting_with(&self, prefix: &str) -> impl Iterator<Item = (&str, &OsString)> {
        self.0.iter().filter(move |(name, _)| name.starts_with(prefix)).map(|(name, value)| (name.as_str(), value))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }
}

/// What a file may refer to.
#[derive(Clone, Copy)]
pub(crate) enum References<'a> {
    /// The operator's file: the environment, and files relative to `folder`.
    Operator { environment: &'a Environment, folder: &'a Path },
    /// A tenant's file: nothing of the host. Its `[env]` is read by itself, see `env.rs`.
    Tenant,
}

/// Why a reference cannot be resolved. Holds names and paths, never a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unresolved {
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Unresolved {
    fn new(message: String, hint: impl Into<String>) -> Self {
        Self { message, hint: hint.into() }
    }

    /// A reference to what a tenant's file may not read.
    pub(crate) fn of_the_host(reference: &str) -> Self {
        Self::new(
            format!("`${{{reference}}}` cannot stand in a tenant's file"),
            "write the value itself: a tenant's file reads nothing of the host",
        )
    }

    pub(crate) fn unknown(reference: &str) -> Self {
        Self::new(format!("`${{{reference}}}` refers to nothing known"), "write `$${` for the text `${`")
    }
}

/// A piece of a text with references.
pub(crate) enum Part<'a> {
    /// Text as it is.
    Text(&'a str),
    /// What stands between `${` and `}`.
    Reference(&'a str),
}

/// Splits a text at its references; `$${` stands for `${` itself.
pub(crate) fn parts(text: &str) -> Result<Vec<Part<'_>>, Unresolved> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        if let Some(escaped) = before.strip_suffix('$') {
            parts.extend([Part::Text(escaped), Part::Text("${")]);
            rest = &reference[2..];
            continue;
        }
        let end = reference.find('}').ok_or_else(|| {
            Unresolved::new("a `${` is not closed".to_owned(), "close it with `}`, or write `$${` for the text `${`")
        })?;
        parts.extend([Part::Text(before), Part::Reference(&reference[2..end])]);
        rest = &reference[end + 1..];
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

impl References<'_> {
    /// Replaces every reference in `text`; `$${` stands for `${` itself.
    pub(crate) fn resolve(&self, text: &str) -> Result<String, Unresolved> {
        let mut resolved = String::with_capacity(text.len());
        for part in parts(text)? {
            match part {
                Part::Text(text) => resolved.push_str(text),
                Part::Reference(reference) => resolved.push_str(&self.look_up(reference)?),
            }
        }
        Ok(resolved)
    }

    fn look_up(&self, reference: &str) -> Result<String, Unresolved> {
        let (kind, name) = reference.split_once(':').unwrap_or((reference, ""));
        match (self, kind) {
            (Self::Operator { environment, .. }, "env") => variable(environment, name),
            (Self::Operator { folder, .. }, "file") => content(&folder.join(name), name),
            (Self::Operator { .. }, "secret") => Err(Unresolved::new(
                format!("`${{secret:{name}}}` cannot stand in the operator's file"),
                "use `${env:NAME}` or `${file:PATH}` here",
            )),
            (Self::Tenant, "secret") => Err(Unresolved::new(
                format!("`${{secret:{name}}}` can stand only in `[env]`"),
                "write the value itself: what stands here is printed",
            )),
            (Self::Tenant, "env" | "file") => Err(Unresolved::of_the_host(reference)),
            _ => Err(Unresolved::unknown(reference)),
        }
    }
}

fn variable(environment: &Environment, name: &str) -> Result<String, Unresolved> {
    let value = environment.0.get(name).ok_or_else(|| {
        Unresolved::new(format!("the environment variable {name} is not set"), "set it, or write the value itself")
    })?;
    value
        .to_str()
        .map(str::to_owned)
        .ok_or_else(|| Unresolved::new(format!("the environment variable {name} is not UTF-8"), "set it to UTF-8 text"))
}

/// A file's text without the line break that editors put at the end.
fn content(path: &Path, written: &str) -> Result<String, Unresolved> {
    let hint = "give the path of a readable file with UTF-8 text";
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_CONTENT + 1).read_to_string(&mut text));
    let length = read.map_err(|error| Unresolved::new(format!("the file {written} cannot be read: {error}"), hint))?;
    if length as u64 > MAX_CONTENT {
        return Err(Unresolved::new(format!("the file {written} has more than {} MiB", MAX_CONTENT >> 20), hint));
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_refers_to_variables_and_files() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("password"), "hunter2\n").expect("a file");
        let environment = Environment::from([("HOST", "node-1"), ("BRACE", "a}b")]);
        let references = References::Operator { environment: &environment, folder: folder.path() };

        assert_eq!(references.resolve("plain"), Ok("plain".to_owned()));
        assert_eq!(references.resolve("${env:HOST}"), Ok("node-1".to_owned()));
        assert_eq!(references.resolve("<${env:HOST}|${file:password}>"), Ok("<node-1|hunter2>".to_owned()));
        assert_eq!(references.resolve("$${env:HOST} ${env:BRACE}"), Ok("${env:HOST} a}b".to_owned()));
        for wrong in ["${env:NONE}", "${file:none}", "${HOST}", "${env:HOST", "${secret:X}"] {
            assert!(references.resolve(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tenant_reads_nothing_of_the_host() {
        for wrong in ["${env:PATH}", "${file:/etc/passwd}", "${secret:X}", "x${y}"] {
            assert!(References::Tenant.resolve(wrong).is_err(), "{wrong}");
        }
        assert_eq!(References::Tenant.resolve("$${env:PATH} costs 5$"), Ok("${env:PATH} costs 5$".to_owned()));
    }
}
