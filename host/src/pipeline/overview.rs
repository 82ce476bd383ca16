//! What an operator may see of a running host at any moment: groups, versions, refusals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::rollout::HandlerName;
use crate::consume::GroupStatus;

/// Shared between the reconciler, which writes it, and whoever asks.
#[derive(Debug, Default)]
pub struct Overview {
    groups: ArcSwap<Vec<Arc<GroupStatus>>>,
    handlers: ArcSwap<Vec<HandlerStatus>>,
    decided: AtomicBool,
    directory_alert: ArcSwapOption<String>,
    /// Versions that have begun to run, those that took another's place included.
    pub deployed: AtomicU64,
    /// Versions that were refused.
    pub refused: AtomicU64,
    /// Versions that were rolled back.
    pub rolled_back: AtomicU64,
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
    pub fn groups(&self) -> Arc<Vec<Arc<GroupStatus>>> {
        self.groups.load_full()
    }

    /// The handlers that run or are refused.
    pub fn handlers(&self) -> Arc<Vec<HandlerStatus>> {
        self.handlers.load_full()
    }

    /// Whether the deploy directory has been read and each handler in it was loaded or refused.
    pub fn is_decided(&self) -> bool {
        self.decided.load(Relaxed)
    }

    /// What is wrong with the deploy directory as a whole, if so.
    pub fn directory_alert(&self) -> Option<Arc<String>> {
        self.directory_alert.load_full()
    }

    pub(super) fn set_groups(&self, groups: Vec<Arc<GroupStatus>>) {
        self.groups.store(Arc::new(groups));
    }

    pub(super) fn set_handlers(&self, handlers: Vec<HandlerStatus>, decided: bool) {
        self.handlers.store(Arc::new(handlers));
        self.decided.store(decided, Relaxed);
    }

    pub(super) fn set_directory_alert(&self, alert: Option<String>) {
        self.directory_alert.store(alert.map(Arc::new));
    }
}
