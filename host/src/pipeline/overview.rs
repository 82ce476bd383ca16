//! What an operator may see of a running host at any moment: groups, versions, refusals.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::bound::{Bound, Routes};
use super::rollout::HandlerName;
use crate::consume::GroupStatus;
use crate::pulse::Pulse;

/// A thread that has missed its turns for so long will not go on by itself: each has one within a second, whatever brokers
/// and handlers do.
const TOO_LONG: Duration = Duration::from_secs(30);

/// Shared between the reconciler, which writes it, and whoever asks.
#[derive(Debug, Default)]
pub struct Overview {
    groups: ArcSwap<Vec<GroupView>>,
    refused_clients: ArcSwap<Vec<String>>,
    workers: OnceLock<Vec<Arc<Pulse>>>,
    handlers: ArcSwap<Vec<HandlerStatus>>,
    decided: AtomicBool,
    directory_alerts: ArcSwap<Vec<String>>,
    /// Versions that have begun to run, those that took another's place included.
    pub deployed: AtomicU64,
    /// Versions that were refused.
    pub refused: AtomicU64,
    /// Versions that were rolled back.
    pub rolled_back: AtomicU64,
}

/// A group that runs, and its routes.
#[derive(Debug)]
pub struct GroupView {
    /// Its place at the broker.
    pub status: Arc<GroupStatus>,
    routes: Arc<Routes>,
}

impl GroupView {
    pub(super) fn new(status: &Arc<GroupStatus>, routes: &Arc<Routes>) -> Self {
        Self { status: status.clone(), routes: routes.clone() }
    }

    /// The routes of its handlers, as they are now.
    pub fn routes(&self) -> Vec<Arc<Bound>> {
        self.routes.table().bounds().cloned().collect()
    }
}

/// A handler as it is now.
#[derive(Clone, Debug)]
pub struct HandlerStatus {
    /// Which.
    pub name: HandlerName,
    /// The version that runs, and its component's digest.
    pub running: Option<(Arc<str>, Arc<str>)>,
    /// What lies in the deploy directory is still being loaded.
    pub loading: bool,
    /// Why what lies in the deploy directory does not run: the code and the sentence.
    pub refused: Option<Refused>,
}

/// Why a version does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The stable code.
    pub code: &'static str,
    /// A sentence with what was wrong, where, and what to do.
    pub sentence: String,
}

impl Overview {
    /// The groups that run.
    pub fn groups(&self) -> Arc<Vec<GroupView>> {
        self.groups.load_full()
    }

    /// Tenants whose groups cannot be joined, since their clients cannot be made: a sentence each.
    pub fn refused_clients(&self) -> Arc<Vec<String>> {
        self.refused_clients.load_full()
    }

    /// The handlers that run or are refused.
    pub fn handlers(&self) -> Arc<Vec<HandlerStatus>> {
        self.handlers.load_full()
    }

    /// Whether the deploy directory has been read, and no group waits to be joined until its handlers are loaded.
    pub fn is_decided(&self) -> bool {
        self.decided.load(Relaxed)
    }

    /// What the deploy directory has lost that nobody can mean, a sentence each.
    pub fn directory_alerts(&self) -> Arc<Vec<String>> {
        self.directory_alerts.load_full()
    }

    /// What does not go on any more, a sentence each: groups that nobody polls, workers that give no turns.
    pub fn stuck(&self, now: Instant) -> Vec<String> {
        let groups = self.groups();
        let groups =
            groups.iter().map(|group| (&group.status.pulse, format!("{} is not polled", group.status.group_id)));
        let workers = self.workers.get().into_iter().flatten().enumerate();
        let workers = workers.map(|(index, pulse)| (&**pulse, format!("worker {index} gives no turns")));
        groups
            .chain(workers)
            .map(|(pulse, what)| (pulse.silence(now), what))
            .filter(|(silence, _)| *silence > TOO_LONG)
            .map(|(silence, what)| format!("{what}, for {} s", silence.as_secs()))
            .collect()
    }

    pub(super) fn set_workers(&self, workers: &[Arc<Pulse>]) {
        self.workers.get_or_init(|| workers.to_vec());
    }

    pub(super) fn set_groups(&self, groups: Vec<GroupView>, refused_clients: Vec<String>) {
        self.groups.store(Arc::new(groups));
        self.refused_clients.store(Arc::new(refused_clients));
    }

    pub(super) fn set_handlers(&self, handlers: Vec<HandlerStatus>, decided: bool) {
        self.handlers.store(Arc::new(handlers));
        self.decided.store(decided, Relaxed);
    }

    pub(super) fn set_directory_alerts(&self, alerts: Vec<String>) {
        self.directory_alerts.store(Arc::new(alerts));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_should_go_on_and_does_not_is_stuck() {
        let (now, overview) = (Instant::now(), Overview::default());
        let pulses = [(); 3].map(|()| Arc::new(Pulse::new(now)));
        overview.set_workers(&pulses);
        pulses[1].rest();
        let later = now + Duration::from_secs(45);
        pulses[2].beat(later);
        assert_eq!(overview.stuck(later), ["worker 0 gives no turns, for 45 s"]);
        assert!(overview.stuck(now + TOO_LONG).is_empty(), "it may yet");
    }
}
