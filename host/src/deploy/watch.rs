//! The deploy directory as it changes: what counts of it, and since when.
//!
//! The whole directory is looked at again and again, and compared with how it looked before. File-system events are not
//! used. They get lost when a queue overflows, do not come from network mounts, run out of watches, and say nothing of what
//! changed behind a link, so everything would have to be compared anyway; and 1,000 handlers are looked through
//! in a few milliseconds. Only what has changed is read.
//!
//! - A file counts when it has looked the same for 1 s, and so does its absence.
//! - A tenant's folder counts as a whole: what has settled waits for the rest of it, and for 2 s at most. What has still
//!   not settled then stays as it last counted.
//! - What moves while it is read is not settled, so a snapshot has each folder as it lay there at one moment.
//! - Handlers that are lost at once are an alert, and are not deleted: see [`Watch::alert`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::{Snapshot, Verify};
use crate::config::Fault;

mod clock;
mod files;
mod folder;
mod listing;
mod loss;
mod observed;
mod root;

#[cfg(test)]
mod tests;

use clock::{Clock, Steady};
use folder::Folder;
use loss::{Loss, Missing, Name};
use root::Root;

/// How often a running host looks.
pub const LOOK: Duration = Duration::from_millis(250);

/// Bytes of components that one look reads, and up to one component more; the next look goes on. So a look takes about a
/// second at most, and a tenant that changes much holds the others up no longer than that. At the start all is read.
const BUDGET: u64 = 256 << 20;

/// The deploy directory, watched. It may be missing, and may appear later.
pub struct Watch {
    directory: PathBuf,
    verify: Verify,
    /// Bytes of components that a look reads.
    budget: u64,
    tenants: BTreeMap<String, Folder>,
    faults: Steady<Vec<Fault>>,
    /// The tenant that is looked at first.
    turn: String,
    loss: Loss,
    /// Handlers of each tenant of which nothing runs and nothing is being loaded.
    idle: BTreeMap<String, BTreeSet<String>>,
    /// The first look.
    began: Option<Instant>,
    /// What was last told.
    told: Option<Snapshot>,
    /// Something may differ from that.
    changed: bool,
}

/// What a look has found.
#[derive(Debug)]
pub enum Look {
    /// Nothing that counts has changed.
    Unchanged,
    /// This lies there now. The first one is told when the whole directory has settled, and after 3 s at most, be it
    /// empty: a host begins with all of its handlers.
    Changed(Snapshot),
    /// Handlers have gone at once. They stay as they were until they are back, or the loss is confirmed. Told once.
    Missing(Fault),
}

impl Watch {
    /// Nothing is looked at yet.
    pub fn new(directory: PathBuf, verify: Verify) -> Self {
        Self {
            directory,
            verify,
            budget: BUDGET,
            tenants: BTreeMap::new(),
            faults: Steady::default(),
            turn: String::new(),
            loss: Loss::default(),
            idle: BTreeMap::new(),
            began: None,
            told: None,
            changed: true,
        }
    }

    /// Looks once, with everything counting as it is.
    pub(super) fn at_once(directory: &Path, verify: Verify, now: Instant) -> Snapshot {
        let mut watch = Self::new(directory.to_owned(), verify);
        watch.see(Clock::at_once(now), u64::MAX);
        watch.snapshot()
    }

    /// Looks at everything and reads what has changed. `now` is the monotonic clock's. It takes as long as the disk does,
    /// so it is for a thread that nobody waits for.
    pub fn look(&mut self, now: Instant) -> Look {
        self.look_at(now, SystemTime::now())
    }

    fn look_at(&mut self, now: Instant, time_of_day: SystemTime) -> Look {
        let is_first = self.began.is_none();
        let began = *self.began.get_or_insert(now);
        let budget = if self.told.is_none() { u64::MAX } else { self.budget };
        if let Some(alert) = self.see(Clock::new(now, is_first.then_some(time_of_day)), budget) {
            return Look::Missing(alert);
        }
        let begins = self.told.is_none() && self.is_settling() && now < began + clock::SETTLED + folder::PATIENCE;
        if begins || !std::mem::take(&mut self.changed) {
            return Look::Unchanged;
        }
        let snapshot = self.snapshot();
        if self.told.as_ref() == Some(&snapshot) {
            return Look::Unchanged;
        }
        self.told = Some(snapshot.clone());
        Look::Changed(snapshot)
    }

    /// The alerts that stand. A directory that is not there or empty, or that loses more than half of its handlers at once
    /// (and more than one), was rather unmounted than cleared: none of those is deleted, and no other one of the same
    /// tenants, until all of them are back or [`Watch::confirm`] is called. For all other tenants nothing changes.
    pub fn alerts(&self) -> impl Iterator<Item = &Fault> {
        self.loss.alerts()
    }

    /// Tells of which handlers (a tenant and its handler) no version runs or is being loaded, since they were refused.
    /// Nobody loses anything by those, so a tenant that removes a heap of broken ones has lost no handler.
    pub fn set_idle<'a>(&mut self, idle: impl Iterator<Item = (&'a str, &'a str)>) {
        self.idle.clear();
        for (tenant, handler) in idle {
            self.idle.entry(tenant.to_owned()).or_default().insert(handler.to_owned());
        }
    }

    /// Takes the handlers that are missing now for deleted. Those that go missing later are not meant.
    pub fn confirm(&mut self) {
        self.loss.confirm();
    }

    /// Whether something has changed that does not count yet.
    pub fn is_settling(&self) -> bool {
        self.tenants.values().any(Folder::is_settling) || self.faults.is_settling()
    }

    /// Takes note of all that is there; returns an alert that is new.
    fn see(&mut self, clock: Clock, mut budget: u64) -> Option<Fault> {
        let mut root = root::look(&self.directory);
        self.changed |= self.faults.see(std::mem::take(&mut root.faults), clock);
        for name in &root.tenants {
            let folder = || Folder::new(self.directory.join(name));
            self.tenants.entry(name.clone()).or_insert_with(folder);
        }
        let had = self.had(&root);
        // From the one whose turn it is to the last one, then from the first one on.
        let mut rest = self.tenants.split_off(&self.turn);
        for (name, folder) in rest.iter_mut().chain(&mut self.tenants) {
            let had = budget;
            self.changed |= folder.look(root.tenants.contains(name), clock, self.verify, &mut budget);
            if budget == 0 && had > 0 {
                // The one after it.
                self.turn = format!("{name}\0");
            }
        }
        self.tenants.append(&mut rest);
        let alert = self.lose(had, &root);
        self.tenants.retain(|name, folder| root.tenants.contains(name) || !folder.is_empty());
        alert
    }

    /// How many handlers each tenant has that can be lost.
    fn had(&self, root: &Root) -> BTreeMap<String, usize> {
        let handlers = |(tenant, folder): (&String, &Folder)| {
            let names = folder.names().filter(|handler| self.can_be_lost(tenant, handler, root));
            (tenant.clone(), names.count())
        };
        self.tenants.iter().map(handlers).collect()
    }

    /// Whether its going is a loss. That the whole directory has gone says nothing of any of its handlers.
    fn can_be_lost(&self, tenant: &str, handler: &str, root: &Root) -> bool {
        root.emptied.is_some() || !self.idle.get(tenant).is_some_and(|idle| idle.contains(handler))
    }

    /// Decides about the handlers that have gone, of as many as each tenant had; returns an alert that is new.
    fn lose(&mut self, had: BTreeMap<String, usize>, root: &Root) -> Option<Fault> {
        let names = |of: fn(&Folder) -> &BTreeSet<String>| -> BTreeSet<Name> {
            let folders = self.tenants.iter();
            folders.flat_map(|(tenant, folder)| of(folder).iter().map(|name| (tenant.clone(), name.clone()))).collect()
        };
        let all = names(Folder::missing);
        let losses = all.iter().filter(|(tenant, handler)| self.can_be_lost(tenant, handler, root)).cloned().collect();
        let missing = Missing { all, losses, gone: names(Folder::gone), had, emptied: root.emptied.as_deref() };
        let alert = self.loss.judge(&missing, &self.directory);
        for (tenant, handler) in self.loss.deleted(&missing) {
            if let Some(folder) = self.tenants.get_mut(tenant) {
                folder.let_go(handler);
                self.changed = true;
            }
        }
        alert
    }

    fn snapshot(&self) -> Snapshot {
        let tenants = self.tenants.iter().filter(|(_, folder)| !folder.is_empty());
        let folders = self.tenants.values().flat_map(Folder::faults);
        Snapshot {
            directory: self.directory.clone(),
            tenants: tenants.map(|(name, folder)| (Arc::from(name.as_str()), folder.sources())).collect(),
            faults: self.faults.get().iter().chain(folders).cloned().collect(),
        }
    }
}
