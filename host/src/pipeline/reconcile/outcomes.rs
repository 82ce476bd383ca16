//! What became of a version: it runs, it is refused, rolled back, or stopped.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::super::bound::Handler;
use super::super::loader::Loaded;
use super::super::overview::Refused;
use super::super::rollout::{Decided, HandlerName};
use super::{Known, NOT_NOW, News, State};
use crate::config::TenantLookup;

impl State {
    pub(super) fn loaded(&mut self, name: &HandlerName, number: u64, outcome: Loaded) {
        let (version, refused, again) = match outcome {
            Loaded::Ready(version) => (Some(version), None, false),
            Loaded::Refused(refused) => (None, Some(refused), false),
            Loaded::NotNow(refused) => (None, Some(refused), true),
        };
        if !self.rollout.loaded(name, number, version) {
            return;
        }
        match &refused {
            // Mostly its files have been replaced meanwhile, and the next look finds what took their place.
            Some(Refused { code, sentence }) if again => tracing::warn!(
                target: "callgate::deploy", tenant = %name.tenant, handler = %name.handler, code,
                "a version cannot be loaded now, and is tried again: {sentence}"
            ),
            Some(refused) => self.refuse(name, refused),
            None => {}
        }
        if let Some(known) = self.known.get_mut(name) {
            (known.refused, known.again) = (refused, again);
        }
        if again {
            self.again = Some(Instant::now() + NOT_NOW);
        }
        self.follow();
    }

    /// Has loaded versions run, or says why they may not.
    pub(super) fn decide(&mut self) {
        for (name, decided) in self.rollout.decide() {
            let refused = match decided {
                Decided::Runs(version) => {
                    self.runs(&name, &version);
                    None
                }
                Decided::Refused(fault) => Some(Refused { code: fault.code.as_str(), sentence: fault.to_string() }),
            };
            if let Some(refused) = &refused {
                self.refuse(&name, refused);
            }
            if let Some(known) = self.known.get_mut(&name) {
                known.refused = refused;
            }
        }
    }

    fn runs(&self, name: &HandlerName, version: &Arc<Handler>) {
        let Handler { group_id, version: id, .. } = &**version;
        tracing::info!(
            target: "callgate::deploy", tenant = %name.tenant, handler = %name.handler, version = %id,
            digest = %version.callable.digest(), group = group_id, "a version is loaded"
        );
        self.overview.deployed.fetch_add(1, Relaxed);
        (self.listener)(&News::Runs(version));
    }

    pub(super) fn failing(&mut self, name: &HandlerName, version: &Arc<str>) {
        let Some(before) = self.rollout.roll_back(name, |running| running.version == *version) else {
            return tracing::warn!(
                target: "callgate::deploy", code = "run.nothing-to-roll-back-to", tenant = %name.tenant,
                handler = %name.handler, version = %version,
                "the first records of this version have all trapped, and there is no version before it that ran here and \
                 whose topics no other handler has by now"
            );
        };
        let refused = Refused {
            code: "run.rolled-back",
            sentence: format!(
                "version {version} was rolled back: its first records have all trapped. Version {} runs again; deploy \
                 a version that is mended",
                before.version
            ),
        };
        tracing::error!(
            target: "callgate::deploy", code = "run.rolled-back", tenant = %name.tenant, handler = %name.handler,
            version = %version, before = %before.version, "{}", refused.sentence
        );
        self.overview.rolled_back.fetch_add(1, Relaxed);
        (self.listener)(&News::Refused(name, &refused));
        if let Some(known) = self.known.get_mut(name) {
            known.refused = Some(refused);
        }
        self.follow();
    }

    /// Says so where another version was found while the one before was still being loaded. The same one is loaded again
    /// where its tenant's settings have changed, and is not skipped.
    pub(super) fn tell_skipped(&self, name: &HandlerName, before: &Known, now: Option<&Arc<str>>) {
        let skipped = before.version.as_ref().map(|(version, _)| version).filter(|version| Some(*version) != now);
        if let Some(version) = skipped.filter(|_| self.rollout.is_loading(name)) {
            tracing::info!(
                target: "callgate::deploy", tenant = %name.tenant, handler = %name.handler, version = %version,
                "a version is skipped: its files were replaced before it ran"
            );
        }
    }

    fn refuse(&self, name: &HandlerName, refused: &Refused) {
        tracing::error!(
            target: "callgate::deploy", tenant = %name.tenant, handler = %name.handler, code = refused.code,
            "a version is refused: {}", refused.sentence
        );
        self.overview.refused.fetch_add(1, Relaxed);
        (self.listener)(&News::Refused(name, refused));
    }

    /// What the operator has taken away from a tenant is taken from all its versions: one that cannot be made anew under the
    /// rules of now, since its files are not there any more, is stopped. Its records wait.
    pub(super) fn stop_outdated(&mut self) {
        let operator = &self.operator;
        let may_run = |version: &Arc<Handler>| match operator.tenant(&version.tenant.name) {
            TenantLookup::Found(now) => now == version.settings,
            // A section with faults is no word about the tenant.
            TenantLookup::Faulty => true,
            TenantLookup::Unknown => false,
        };
        for name in self.rollout.stop_outdated(may_run) {
            tracing::error!(
                target: "callgate::deploy", code = "run.version-stopped", tenant = %name.tenant, handler = %name.handler,
                "the version that ran is stopped: what the operator's file says of its tenant has changed, and its own files \
                 have been replaced by ones that were refused. Later records wait; correct the files"
            );
        }
    }
}
