//! Handlers that go at once: whether that is a deletion.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::place;
use crate::config::{Code, Fault};

/// A tenant and its handler.
pub(super) type Name = (String, String);

/// Handlers that an alert names.
const NAMED: usize = 3;

/// What is known of handlers that have gone.
#[derive(Debug, Default)]
pub(super) struct Loss {
    alert: Option<Fault>,
    /// What is missing next time is meant to be.
    confirming: bool,
    confirmed: BTreeSet<Name>,
}

impl Loss {
    pub(super) fn alert(&self) -> Option<&Fault> {
        self.alert.as_ref()
    }

    pub(super) fn confirm(&mut self) {
        self.confirming = true;
    }

    /// Decides whether there is an alert; returns one that is new.
    ///
    /// `missing` are all handlers that have no files, `gone` those of them for which that counts, and `of` how many
    /// handlers there were. `emptied` says why the directory has nothing at all, where that is so.
    pub(super) fn judge(
        &mut self,
        missing: &BTreeSet<Name>,
        gone: &BTreeSet<Name>,
        of: usize,
        emptied: Option<&str>,
        directory: &Path,
    ) -> Option<Fault> {
        if std::mem::take(&mut self.confirming) {
            self.confirmed.clone_from(missing);
        }
        self.confirmed.retain(|name| missing.contains(name));
        let unconfirmed: Vec<&Name> = missing.difference(&self.confirmed).collect();
        if self.alert.is_some() {
            if unconfirmed.is_empty() {
                self.alert = None;
            }
            return None;
        }
        // All that is missing is counted as soon as the first of it counts: deleting many takes its time.
        let counts = unconfirmed.iter().any(|name| gone.contains(*name));
        if counts && (emptied.is_some() || is_most(unconfirmed.len(), of)) {
            self.alert = Some(fault(&unconfirmed, of, emptied, directory));
            return self.alert.clone();
        }
        None
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
