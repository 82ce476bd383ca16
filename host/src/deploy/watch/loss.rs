//! Handlers that go at once: whether that is a deletion.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::super::place;
use crate::config::{Code, Fault};

/// A tenant and its handler.
pub(super) type Name = (String, String);

/// Handlers that an alert names.
const NAMED: usize = 3;

/// What a look has found of handlers that have gone.
#[derive(Debug, Default)]
pub(super) struct Missing<'a> {
    /// All handlers that have no files.
    pub(super) all: BTreeSet<Name>,
    /// Those of them that somebody loses something by.
    pub(super) losses: BTreeSet<Name>,
    /// Those of all for which it counts.
    pub(super) gone: BTreeSet<Name>,
    /// How many handlers each tenant had before that somebody could lose something by.
    pub(super) had: BTreeMap<String, usize>,
    /// Why the directory has nothing at all, where that is so.
    pub(super) emptied: Option<&'a str>,
}

/// What is known of handlers that have gone.
#[derive(Debug, Default)]
pub(super) struct Loss {
    alerts: Vec<Alert>,
    /// What is missing next time is meant to be.
    confirming: bool,
    confirmed: BTreeSet<Name>,
}

/// Handlers that went at once, and whose they are. A tenant is one of these until all of its own are back or confirmed,
/// and meanwhile none of its handlers is deleted.
#[derive(Debug)]
struct Alert {
    tenants: BTreeSet<String>,
    fault: Fault,
}

impl Loss {
    /// The alerts that stand, the oldest first.
    pub(super) fn alerts(&self) -> impl Iterator<Item = &Fault> {
        self.alerts.iter().map(|alert| &alert.fault)
    }

    pub(super) fn confirm(&mut self) {
        self.confirming = true;
    }

    /// Decides about what is missing; returns an alert that is new.
    ///
    /// Tenants for which an alert stands are left out of what is judged: however much one of them deletes, the others
    /// can delete what they could without it.
    pub(super) fn judge(&mut self, missing: &Missing<'_>, directory: &Path) -> Option<Fault> {
        if std::mem::take(&mut self.confirming) {
            self.confirmed.clone_from(&missing.all);
        }
        self.confirmed.retain(|name| missing.all.contains(name));
        let unconfirmed: Vec<&Name> = missing.losses.difference(&self.confirmed).collect();
        for alert in &mut self.alerts {
            alert.tenants.retain(|tenant| unconfirmed.iter().any(|(loser, _)| loser == tenant));
        }
        self.alerts.retain(|alert| !alert.tenants.is_empty());

        let lost: Vec<&Name> = unconfirmed.into_iter().filter(|(tenant, _)| !self.concerns(tenant)).collect();
        let of = missing.had.iter().filter(|(tenant, _)| !self.concerns(tenant)).map(|(_, handlers)| handlers).sum();
        // All that is missing is counted as soon as the first of it counts: deleting many takes its time.
        let counts = lost.iter().any(|name| missing.gone.contains(*name));
        if !counts || (missing.emptied.is_none() && !is_most(lost.len(), of)) {
            return None;
        }
        let fault = fault(&lost, of, missing.emptied, directory);
        let tenants = lost.into_iter().map(|(tenant, _)| tenant.clone()).collect();
        self.alerts.push(Alert { tenants, fault: fault.clone() });
        Some(fault)
    }

    /// Those of what has gone that are deleted, after it was judged.
    pub(super) fn deleted<'a>(&self, missing: &'a Missing<'_>) -> impl Iterator<Item = &'a Name> {
        let is_kept =
            |name: &Name| self.concerns(&name.0) && missing.losses.contains(name) && !self.confirmed.contains(name);
        missing.gone.iter().filter(move |name| !is_kept(name))
    }

    fn concerns(&self, tenant: &str) -> bool {
        self.alerts.iter().any(|alert| alert.tenants.contains(tenant))
    }
}

/// More than half; and more than one, so that a handler that is the only one can be deleted.
fn is_most(lost: usize, of: usize) -> bool {
    lost > 1 && 2 * lost > of
}

fn fault(lost: &[&Name], of: usize, emptied: Option<&str>, directory: &Path) -> Fault {
    let mut names: Vec<String> = lost.iter().map(|(tenant, handler)| format!("{tenant}/{handler}")).collect();
    if names.len() > NAMED {
        names.truncate(NAMED);
        names.push(format!("{} more", lost.len() - NAMED));
    }
    let names = names.join(", ");
    let message = match emptied {
        Some(reason) => {
            let handlers = if of == 1 { "handler" } else { "handlers" };
            format!("the deploy directory {reason}, which had {of} {handlers} ({names})")
        }
        None => format!("{} of {of} handlers have gone at once ({names})", lost.len()),
    };
    let hint = "they run on as they were: bring them back, or confirm with SIGHUP that they are to be deleted";
    Fault::new(&place(directory), Code::HandlersMissing, message, hint)
}
