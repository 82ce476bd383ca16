//! Which version of each handler runs: what was found, what is being loaded, what was refused. No clock, no I/O: a
//! state machine that is told what has happened and asked what is wanted now.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// A handler, whatever its version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HandlerName {
    /// Whose it is.
    pub tenant: Arc<str>,
    /// Its name within the tenant.
    pub handler: Arc<str>,
}

impl fmt::Display for HandlerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.handler)
    }
}

/// A version that can run, as the one who loaded it sees it.
pub(super) trait Version: Clone {
    /// Which version it is: the same one is loaded again where its tenant's settings have changed.
    fn id(&self) -> &str;

    /// Its consumer group.
    fn group(&self) -> &str;
}

/// What became of what lies in the deploy directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Latest {
    /// It is being loaded.
    Loading,
    /// It runs.
    Runs,
    /// It was refused, or rolled back. The version before goes on, if there was one.
    Refused,
}

#[derive(Debug)]
struct Entry<V> {
    // What was found last, by the load that was asked for; loads that were overtaken answer with another number.
    load: u64,
    group: Arc<str>,
    latest: Latest,
    running: Option<V>,
    before: Option<V>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Rollout<V> {
    handlers: BTreeMap<HandlerName, Entry<V>>,
    loads: u64,
    joined: BTreeSet<Arc<str>>,
}

impl<V: Version> Rollout<V> {
    pub(super) fn new() -> Self {
        Self { handlers: BTreeMap::new(), loads: 0, joined: BTreeSet::new() }
    }

    /// Another version was found, and is sound as far as it was looked at. Returns the number of the load that it is to
    /// be answered with. The version that runs goes on until then.
    pub(super) fn found(&mut self, name: &HandlerName, group: &Arc<str>) -> u64 {
        let load = self.next_load();
        let entry = self.entry(name);
        (entry.load, entry.latest, entry.group) = (load, Latest::Loading, group.clone());
        load
    }

    /// Another version was found, and is refused. The version that runs goes on.
    pub(super) fn refused(&mut self, name: &HandlerName) {
        let load = self.next_load();
        let entry = self.entry(name);
        (entry.load, entry.latest) = (load, Latest::Refused);
    }

    /// A load has ended. Returns whether it was still wanted.
    pub(super) fn loaded(&mut self, name: &HandlerName, load: u64, outcome: Option<V>) -> bool {
        let Some(entry) = self.handlers.get_mut(name).filter(|entry| entry.load == load) else { return false };
        match outcome {
            Some(version) => {
                let is_another = entry.running.as_ref().is_none_or(|running| running.id() != version.id());
                let replaced = entry.running.replace(version);
                if is_another {
                    entry.before = replaced;
                }
                entry.latest = Latest::Runs;
            }
            None => entry.latest = Latest::Refused,
        }
        true
    }

    /// The version that runs has failed its first records. Returns the version that runs again, if there is one before.
    pub(super) fn roll_back(&mut self, name: &HandlerName, failed: impl Fn(&V) -> bool) -> Option<V> {
        let entry = self.handlers.get_mut(name)?;
        if !entry.running.as_ref().is_some_and(failed) {
            return None;
        }
        let before = entry.before.take()?;
        entry.running = Some(before.clone());
        // A newer one that is being loaded is another story.
        if entry.latest == Latest::Runs {
            entry.latest = Latest::Refused;
        }
        Some(before)
    }

    /// Stops every version whose own files are not there any more, since newer ones were refused, and for which `may_run` says
    /// no. Returns their names.
    pub(super) fn stop_outdated(&mut self, may_run: impl Fn(&V) -> bool) -> Vec<HandlerName> {
        let outdated = self.handlers.iter_mut().filter(|(_, entry)| {
            entry.latest == Latest::Refused && entry.running.as_ref().is_some_and(|running| !may_run(running))
        });
        let stopped = outdated.map(|(name, entry)| {
            (entry.running, entry.before) = (None, None);
            name.clone()
        });
        stopped.collect()
    }

    /// Only these handlers are left; returns those that are gone.
    pub(super) fn retain(&mut self, names: &BTreeSet<HandlerName>) -> Vec<HandlerName> {
        let gone = self.handlers.keys().filter(|name| !names.contains(name)).cloned().collect();
        self.handlers.retain(|name, _| names.contains(name));
        gone
    }

    /// The versions that are to run now. A group is joined when each of its handlers is loaded or refused: records of
    /// those that are still being loaded would otherwise cost it a second rebalance.
    pub(super) fn wanted(&mut self) -> Vec<V> {
        let loading: BTreeSet<Arc<str>> = self
            .handlers
            .values()
            .filter(|entry| entry.latest == Latest::Loading)
            .map(|entry| entry.group.clone())
            .collect();
        let running = self.handlers.values().filter_map(|entry| entry.running.as_ref());
        let wanted: Vec<V> = running
            .filter(|version| self.joined.contains(version.group()) || !loading.contains(version.group()))
            .cloned()
            .collect();
        self.joined = wanted.iter().map(|version| version.group().into()).collect();
        wanted
    }

    /// Whether nothing is being loaded.
    pub(super) fn is_decided(&self) -> bool {
        self.handlers.values().all(|entry| entry.latest != Latest::Loading)
    }

    /// Every handler with the version that runs, and what became of what lies in the directory.
    pub(super) fn all(&self) -> impl Iterator<Item = (&HandlerName, Option<&V>, Latest)> {
        self.handlers.iter().map(|(name, entry)| (name, entry.running.as_ref(), entry.latest))
    }

    fn next_load(&mut self) -> u64 {
        self.loads += 1;
        self.loads
    }

    fn entry(&mut self, name: &HandlerName) -> &mut Entry<V> {
        self.handlers.entry(name.clone()).or_insert_with(|| Entry {
            load: 0,
            group: Arc::from(""),
            latest: Latest::Refused,
            running: None,
            before: None,
        })
    }
}

#[cfg(test)]
mod tests;
