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
    /// A sentence about two versions.
    type Conflict;

    /// Which version it is: the same one is loaded again where its tenant's settings have changed.
    fn id(&self) -> &str;

    /// Its consumer group.
    fn group(&self) -> &str;

    /// Why it cannot run beside that version of another handler: it would get the same records.
    fn conflict_with(&self, other: &Self) -> Option<Self::Conflict>;
}

/// What is decided of a version that was loaded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decided<V: Version> {
    /// It runs from now on.
    Runs(V),
    /// Another handler's version goes on, and gets its records. It runs as soon as that one is gone.
    Refused(V::Conflict),
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
    // Loaded, and it is not decided yet that it may run.
    waiting: Option<V>,
    running: Option<V>,
    before: Option<V>,
}

impl<V: Version> Entry<V> {
    fn is_being_loaded(&self) -> bool {
        self.latest == Latest::Loading && self.waiting.is_none()
    }

    fn run(&mut self, version: V) {
        let is_another = self.running.as_ref().is_none_or(|running| running.id() != version.id());
        let replaced = self.running.replace(version);
        if is_another {
            self.before = replaced;
        }
        self.latest = Latest::Runs;
    }
}

/// Which versions must not run as others do, by which handler, and why.
type Held<V> = BTreeMap<HandlerName, (HandlerName, <V as Version>::Conflict)>;

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
        (entry.load, entry.latest, entry.group, entry.waiting) = (load, Latest::Loading, group.clone(), None);
        load
    }

    /// Another version was found, and is refused. The version that runs goes on.
    pub(super) fn refused(&mut self, name: &HandlerName) {
        let load = self.next_load();
        let entry = self.entry(name);
        (entry.load, entry.latest, entry.waiting) = (load, Latest::Refused, None);
    }

    /// A load has ended; what was loaded waits for [`decide`](Self::decide). Returns whether it was still wanted.
    pub(super) fn loaded(&mut self, name: &HandlerName, load: u64, outcome: Option<V>) -> bool {
        let Some(entry) = self.handlers.get_mut(name).filter(|entry| entry.load == load) else { return false };
        match outcome {
            Some(version) => entry.waiting = Some(version),
            None => entry.latest = Latest::Refused,
        }
        true
    }

    /// Has the loaded versions run that get no records of another handler's version which goes on. Where newer files of that
    /// handler are still being loaded, they are waited for.
    pub(super) fn decide(&mut self) -> Vec<(HandlerName, Decided<V>)> {
        let mut held = BTreeMap::new();
        while let Some((name, by, conflict)) = self.conflict(&held) {
            held.insert(name, (by, conflict));
        }
        let mut decided = Vec::new();
        for (name, entry) in self.handlers.iter_mut().filter(|(name, _)| !held.contains_key(name)) {
            if let Some(version) = entry.waiting.take() {
                entry.run(version.clone());
                decided.push((name.clone(), Decided::Runs(version)));
            }
        }
        for (name, (by, conflict)) in held {
            let is_loading = self.handlers.get(&by).is_some_and(Entry::is_being_loaded);
            if let Some(entry) = self.handlers.get_mut(&name)
                && entry.latest == Latest::Loading
                && !is_loading
            {
                entry.latest = Latest::Refused;
                decided.push((name, Decided::Refused(conflict)));
            }
        }
        decided
    }

    /// A version that waits and is not held yet, though it gets records of another handler as that one will run.
    fn conflict(&self, held: &Held<V>) -> Option<(HandlerName, HandlerName, V::Conflict)> {
        // Those whose latest version runs were compared with all others when their files were read.
        let rivals = || self.handlers.iter().filter(|(_, entry)| entry.latest != Latest::Runs);
        rivals().filter(|(name, _)| !held.contains_key(name)).find_map(|(name, entry)| {
            let version = entry.waiting.as_ref()?;
            rivals().filter(|(other, _)| *other != name).find_map(|(other, rival)| {
                let comes = rival.waiting.as_ref().filter(|_| !held.contains_key(other));
                let conflict = version.conflict_with(comes.or(rival.running.as_ref())?)?;
                Some((name.clone(), other.clone(), conflict))
            })
        })
    }

    /// The version that runs has failed its first records. Returns the version that runs again, if there is one before,
    /// whose records no other handler gets by now.
    pub(super) fn roll_back(&mut self, name: &HandlerName, failed: impl Fn(&V) -> bool) -> Option<V> {
        let entry = self.handlers.get(name).filter(|entry| entry.running.as_ref().is_some_and(failed))?;
        let before = entry.before.clone()?;
        let others = self.handlers.iter().filter(|(other, _)| *other != name);
        let mut running = others.filter_map(|(_, other)| other.running.as_ref());
        if running.any(|running| before.conflict_with(running).is_some()) {
            return None;
        }
        let entry = self.handlers.get_mut(name)?;
        entry.before = None;
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

    /// Only these handlers are left; returns those that are gone, and whether a version of them ran.
    pub(super) fn retain(&mut self, names: &BTreeSet<HandlerName>) -> Vec<(HandlerName, bool)> {
        let gone = self.handlers.extract_if(.., |name, _| !names.contains(name));
        gone.map(|(name, entry)| (name, entry.running.is_some())).collect()
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

    /// Whether a version of the handler is being loaded.
    pub(super) fn is_loading(&self, name: &HandlerName) -> bool {
        self.handlers.get(name).is_some_and(|entry| entry.latest == Latest::Loading)
    }

    /// Every handler of which no version runs or is being loaded.
    pub(super) fn idle(&self) -> impl Iterator<Item = &HandlerName> {
        let idle = self.handlers.iter().filter(|(_, entry)| entry.running.is_none() && entry.latest != Latest::Loading);
        idle.map(|(name, _)| name)
    }

    /// Whether no group waits to be joined until its handlers are loaded. Versions that are loaded for one that was joined
    /// hold up nothing.
    pub(super) fn is_decided(&self) -> bool {
        self.handlers.values().all(|entry| entry.latest != Latest::Loading || self.joined.contains(&entry.group))
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
            waiting: None,
            running: None,
            before: None,
        })
    }
}

#[cfg(test)]
mod tests;
