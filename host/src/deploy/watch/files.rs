//! The files of one tenant's folder: how they look, since when, and what was read of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::super::Verify;
use super::super::component::digest;
use super::super::file::{Kind, MAX_COMPONENT, MAX_MANIFEST, NotRead, read_inside};
use super::super::snapshot::{Examined, plain};
use super::clock::Clock;
use super::listing::handler_of;
use super::observed::Observed;
use crate::config::Manifest;

/// All files that are, were or could be part of a handler, by their paths in the folder.
pub(super) struct Files {
    root: PathBuf,
    seen: BTreeMap<PathBuf, Seen>,
}

struct Seen {
    /// `None` where there is nothing.
    state: Option<Observed>,
    counts_at: Instant,
    /// Read once it counts, and as long as it looks the same: as a manifest, as a component.
    text: Option<Result<Arc<str>, NotRead>>,
    component: Option<Result<Examined, NotRead>>,
}

impl Seen {
    fn new(state: Option<Observed>, counts_at: Instant) -> Self {
        Self { state, counts_at, text: None, component: None }
    }
}

impl Files {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, seen: BTreeMap::new() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Looks at all of them; returns whether any is not as it was.
    pub(super) fn observe(&mut self, entries: &[(String, DirEntry)], clock: Clock) -> bool {
        let mut moved = false;
        let mut listed = BTreeSet::new();
        for (name, entry) in entries.iter().filter(|(name, _)| handler_of(name).is_some()) {
            let path = PathBuf::from(name);
            moved |= self.see(&path, Some(Observed::entry(entry)), clock);
            listed.insert(path);
        }
        let rest: Vec<PathBuf> = self.seen.keys().filter(|path| !listed.contains(*path)).cloned().collect();
        for path in rest {
            let state = if is_listed(&path) { None } else { Observed::path(&self.root.join(&path)) };
            moved |= self.see(&path, state, clock);
        }
        moved
    }

    fn see(&mut self, path: &Path, state: Option<Observed>, clock: Clock) -> bool {
        match self.seen.get_mut(path) {
            Some(seen) if seen.state == state => false,
            Some(seen) => {
                *seen = Seen::new(state, clock.counts_at());
                true
            }
            None => {
                let counts_at = clock.file_counts_at(state.as_ref());
                self.seen.insert(path.to_owned(), Seen::new(state, counts_at));
                true
            }
        }
    }

    /// How a file looks, and when that counts.
    pub(super) fn state(&mut self, path: &Path, clock: Clock) -> (Option<Observed>, Instant) {
        if !self.seen.contains_key(path) {
            let state = if is_listed(path) { None } else { Observed::path(&self.root.join(path)) };
            self.see(path, state, clock);
        }
        self.seen.get(path).map_or((None, clock.now), |seen| (seen.state.clone(), seen.counts_at))
    }

    pub(super) fn is_there(&self, path: &Path) -> bool {
        self.seen.get(path).is_some_and(|seen| seen.state.is_some())
    }

    /// The handlers that have a manifest.
    pub(super) fn manifests(&self) -> Vec<String> {
        self.handlers_by("toml")
    }

    /// The handlers that have a component of their name, and no manifest.
    pub(super) fn components_alone(&self) -> Vec<String> {
        let mut names = self.handlers_by("wasm");
        names.retain(|name| !self.is_there(format!("{name}.toml").as_ref()));
        names
    }

    fn handlers_by(&self, extension: &str) -> Vec<String> {
        let there = self.seen.iter().filter(|(path, seen)| seen.state.is_some() && is_listed(path));
        let names = there.filter(|(path, _)| path.extension().is_some_and(|found| found == extension));
        names.filter_map(|(path, _)| path.to_str().and_then(handler_of).map(str::to_owned)).collect()
    }

    /// When it counts that neither a handler's manifest is there nor its component.
    pub(super) fn absence_counts_at(&self, handler: &str, clock: Clock) -> Instant {
        let files = ["toml", "wasm"].map(|extension| PathBuf::from(format!("{handler}.{extension}")));
        files.iter().filter_map(|file| self.seen.get(file)).map(|seen| seen.counts_at).max().unwrap_or(clock.now)
    }

    /// The components that a handler's manifest names, once the manifest itself counts.
    pub(super) fn named_by(&mut self, handler: &str, clock: Clock) -> BTreeSet<PathBuf> {
        let beside = || PathBuf::from(format!("{handler}.wasm"));
        let manifest = PathBuf::from(format!("{handler}.toml"));
        if self.state(&manifest, clock).1 > clock.now {
            return BTreeSet::new();
        }
        self.read_text(&manifest);
        match self.text(&manifest) {
            Some(Ok(text)) => {
                let named = Manifest::named_components(&text);
                let component = named.component.map_or_else(|| Some(beside()), |name| plain(&name));
                component.into_iter().chain(named.middleware.iter().filter_map(|name| plain(name))).collect()
            }
            _ => BTreeSet::from([beside()]),
        }
    }

    fn read_text(&mut self, path: &Path) {
        let Some(seen) = self.seen.get_mut(path) else { return };
        if !matches!(seen.text, None | Some(Err(NotRead::Failed(_)))) {
            return;
        }
        let bytes = read(&self.root, path, seen.state.as_ref(), MAX_MANIFEST);
        seen.text = Some(bytes.and_then(|bytes| Ok(String::from_utf8(bytes).map_err(|_| NotRead::NotUtf8)?.into())));
    }

    /// Reads a component, once as long as it looks the same. What failed is tried again.
    pub(super) fn examine(&mut self, path: &Path, verify: Verify) {
        let Some(seen) = self.seen.get_mut(path) else { return };
        if matches!(seen.component, None | Some(Err(NotRead::Failed(_)))) {
            let bytes = read(&self.root, path, seen.state.as_ref(), MAX_COMPONENT);
            seen.component = Some(bytes.map(|bytes| Examined { digest: digest(&bytes), verdict: verify(&bytes) }));
        }
    }

    /// A manifest's text, if it was read.
    pub(super) fn text(&self, path: &Path) -> Option<Result<Arc<str>, NotRead>> {
        self.seen.get(path)?.text.clone()
    }

    /// What was found out of a component, if it was read.
    pub(super) fn component(&self, path: &Path) -> Option<Result<Examined, NotRead>> {
        self.seen.get(path)?.component.clone()
    }

    /// Forgets files that are not there and that nobody names.
    pub(super) fn forget_all_but(&mut self, needed: &BTreeSet<&PathBuf>) {
        self.seen.retain(|path, seen| needed.contains(path) || (seen.state.is_some() && is_listed(path)));
    }
}

/// Whether a file would be in the folder's listing. Others are looked at only where a manifest names them.
fn is_listed(path: &Path) -> bool {
    path.to_str().is_some_and(|path| handler_of(path).is_some())
}

fn read(root: &Path, path: &Path, state: Option<&Observed>, most: u64) -> Result<Vec<u8>, NotRead> {
    match state.map(Observed::kind) {
        None => Err(NotRead::Missing),
        Some(Some(kind)) if kind != Kind::File => Err(NotRead::NotAFile(kind)),
        Some(_) => read_inside(root, path, most),
    }
}
