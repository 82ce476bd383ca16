//! `CALLGATE__KAFKA__BOOTSTRAP_SERVERS`: scalars of the operator's file that the environment overrides.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::fault::{Code, Fault, Place};
use super::references::Environment;
use super::suggest;

/// What a variable's name starts with to be an override. Two underscores: `CALLGATE_LOG` and its like are not ours.
const PREFIX: &str = "CALLGATE__";

/// The overrides that the environment holds, and which keys have asked for theirs.
///
/// A variable addresses a key by its path: segments joined by two underscores, upper case. Since a variable's name
/// holds neither `-` nor `.`, those are written `_`.
pub(crate) struct Overrides {
    set: BTreeMap<String, Override>,
    /// How often each variable, set or not, was asked for.
    asked: RefCell<BTreeMap<String, usize>>,
}

/// A variable and its value.
#[derive(Clone)]
pub(crate) struct Override {
    /// Where it stands, for faults.
    pub(crate) place: Place,
    /// The value as it is: references within it are not resolved. `None`: it is not UTF-8.
    pub(crate) value: Option<String>,
}

impl Overrides {
    pub(crate) fn from_environment(environment: &Environment) -> Self {
        let set = environment.starting_with(PREFIX).map(|(name, value)| {
            let value = value.to_str().map(str::to_owned);
            (name.to_owned(), Override { place: Place::Environment(Arc::from(name)), value })
        });
        Self { set: set.collect(), asked: RefCell::default() }
    }

    /// The override of the key at `path`, if there is one.
    pub(crate) fn get(&self, path: &[String]) -> Option<Override> {
        let variable = variable(path);
        let found = self.set.get(&variable).cloned();
        *self.asked.borrow_mut().entry(variable).or_default() += 1;
        found
    }

    /// Every override whose path goes on from `path`, each with the rest of its path in lower case.
    /// For tables whose keys are free: the properties of the Kafka client.
    pub(crate) fn below(&self, path: &[String]) -> Vec<(String, Override)> {
        let prefix = format!("{}__", variable(path));
        let mut asked = self.asked.borrow_mut();
        let below = self.set.iter().filter_map(|(name, found)| {
            let rest = name.strip_prefix(&prefix)?;
            *asked.entry(name.clone()).or_default() += 1;
            Some((rest.to_lowercase(), found.clone()))
        });
        below.collect()
    }

    /// A fault for each variable that overrides no key, or more than one.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let asked = self.asked.borrow();
        let faults = self.set.iter().filter_map(|(name, found)| {
            let (message, hint) = match asked.get(name) {
                Some(1) => return None,
                Some(_) => (
                    "this variable stands for two keys whose names differ only in `-` and `_`",
                    "unset it and write the values into the file".to_owned(),
                ),
                None => ("this variable overrides no key of the operator's file", hint_for(name, &asked)),
            };
            Some(Fault::new(&found.place, Code::UnknownOverride, message, hint))
        });
        faults.collect()
    }
}

/// The variable's name for the key at `path`.
fn variable(path: &[String]) -> String {
    let segments: Vec<String> = path.iter().map(|part| part.to_uppercase().replace(['-', '.'], "_")).collect();
    format!("{PREFIX}{}", segments.join("__"))
}

fn hint_for(name: &str, asked: &BTreeMap<String, usize>) -> String {
    match suggest::nearest(name, asked.keys().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None => "unset it; only single values of the file, not lists, can be overridden".to_owned(),
    }
}
