//! `[kafka.properties]` and a tenant's `kafka_properties`: settings of the Kafka client, by librdkafka's own names.

use std::collections::BTreeMap;
use std::path::Path;

use super::fault::{Code, Fault, Located, Place};
use super::reader::{Section, Text};
use super::secret::Secret;

mod refused;
mod security;

use security::check_security;

/// Properties as they are handed to the client, each with the place where it was written.
///
/// Every value may be a credential, so none is ever printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, Located<Secret>>);

impl Properties {
    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), &value.value))
    }

    /// These properties with those of `other` in front: what a tenant sets counts for its own clients.
    pub fn overlaid_with(&self, other: &Self) -> Self {
        let mut all = self.0.clone();
        all.extend(other.0.iter().map(|(name, value)| (name.clone(), value.clone())));
        Self(all)
    }

    /// Where the first of them is written; `None` where there are none.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.0.values().map(|property| &property.place).min()
    }

    fn get(&self, name: &str) -> Option<&Located<Secret>> {
        self.0.get(name)
    }
}

/// What the Kafka client says about a property when it is asked to take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyProblem {
    /// It has no property of that name.
    Unknown,
    /// It has, and does not take the value.
    Invalid,
}

/// Asks the Kafka client what it would take: a port, since only one room knows the client.
#[derive(Clone, Copy)]
pub struct PropertyCheck<'a> {
    /// Whether it takes this property, by name and value.
    pub one: &'a dyn Fn(&str, &str) -> Result<(), PropertyProblem>,
    /// Whether it takes all of these together; a sentence where it does not. It may not hold a value.
    pub together: TogetherCheck<'a>,
}

/// Takes names and values.
pub type TogetherCheck<'a> = &'a dyn Fn(&[(&str, &str)]) -> Result<(), String>;

impl PropertyCheck<'_> {
    /// Takes everything.
    pub const NONE: PropertyCheck<'static> = PropertyCheck { one: &|_, _| Ok(()), together: &|_| Ok(()) };
}

/// Checks what one client will have, all together. `section` is where it is written.
pub(crate) fn check_together(properties: &Properties, section: &Place, check: PropertyCheck<'_>) -> Vec<Fault> {
    let faults = check_security(properties, section);
    if !faults.is_empty() {
        return faults;
    }
    let all: Vec<_> = properties.iter().map(|(name, value)| (name, value.expose())).collect();
    let refused = (check.together)(&all).err().map(|reason| {
        let message = format!("the Kafka client does not take these properties together: {reason}");
        Fault::new(section, Code::PropertyInvalid, message, "see the properties in librdkafka's CONFIGURATION.md")
    });
    refused.into_iter().collect()
}

/// Whose clients the properties are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every client of the host.
    Host,
    /// The clients of one tenant, who must not reach the host's files or code.
    Tenant,
}

/// Reads a table of properties. Relative paths in them are relative to `folder`, that of the file.
pub(crate) fn read(
    section: &mut Section<'_>,
    key: &'static str,
    scope: Scope,
    folder: &Path,
    check: PropertyCheck<'_>,
) -> Properties {
    let mut written: BTreeMap<String, Located<Text>> = BTreeMap::new();
    for (name, value) in section.entries(key) {
        let value = if names_file(&name.value) { value.map(|path| anchored(path, folder)) } else { value };
        written.insert(name.value, value);
    }
    for (rest, value) in section.overrides_of(key) {
        // A variable's name has `_` for the dots of a property's name.
        let name = written.keys().find(|name| name.replace('.', "_") == rest).cloned();
        written.insert(name.unwrap_or_else(|| rest.replace('_', ".")), value);
    }
    let mut properties = Properties::default();
    for (name, Located { value, place }) in written {
        match admit(&name, &value, scope, &place, check) {
            Ok(()) => {
                properties.0.insert(name, Located { value: Secret::new(value.value), place });
            }
            Err(fault) => section.add(fault),
        }
    }
    properties
}

/// Whether the property's value is the path of a file or folder.
fn names_file(name: &str) -> bool {
    name.ends_with(".location") || name.ends_with(".file")
}

/// The word by which `ssl.ca.location` asks the client to look where systems keep their certificates.
const PROBE: &str = "probe";

/// Relative paths are relative to the file that names them.
fn anchored(path: Text, folder: &Path) -> Text {
    if path.value == PROBE {
        return path;
    }
    Text { value: folder.join(&path.value).to_string_lossy().into_owned(), ..path }
}

fn admit(name: &str, value: &Text, scope: Scope, place: &Place, check: PropertyCheck<'_>) -> Result<(), Fault> {
    if let Some((why, instead)) = refused::reason(name, scope) {
        return Err(Fault::new(
            place,
            Code::PropertyRefused,
            format!("the property `{name}` is not open: {why}"),
            instead,
        ));
    }
    if names_file(name) && value.value != PROBE && !Path::new(&value.value).exists() {
        let message = format!("`{name}` names {}, which is not there", value.shown);
        return Err(Fault::new(place, Code::FileNotRead, message, "give the path of a file that the host can read"));
    }
    (check.one)(name, &value.value).map_err(|problem| match problem {
        PropertyProblem::Unknown => Fault::new(
            place,
            Code::PropertyInvalid,
            format!("the Kafka client has no property `{name}`"),
            "use a name of librdkafka's CONFIGURATION.md",
        ),
        PropertyProblem::Invalid => Fault::new(
            place,
            Code::PropertyInvalid,
            format!("the Kafka client does not take this value for `{name}`"),
            "see the property's range in librdkafka's CONFIGURATION.md",
        ),
    })
}
