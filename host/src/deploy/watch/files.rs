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
    /// How often all of them were looked at.
    looks: u64,
}

struct Seen {
    /// `None` where there is nothing.
    state: Option<Observed>,
    counts_at: Instant,
    /// The last look that found it.
    look: u64,
    /// Read once it counts, and as long as it looks the same: as a manifest, as a component.
    manifest: Option<Result<Text, NotRead>>,
    component: Option<Result<Examined, NotRead>>,
}

/// A manifest that was read.
struct Text {
    text: Arc<str>,
    /// The components that it needs, as far as they can be in the folder.
    components: BTreeSet<PathBuf>,
    /// It may mean others, too.
    is_unclear: bool,
}

impl Files {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, seen: BTreeMap::new(), looks: 0 }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Looks at all of them; returns whether any is not as it was.
    pub(super) fn observe(&mut self, entries: &[(String, DirEntry)], clock: Clock) -> bool {
        self.looks += 1;
        let mut moved = false;
        for (name, entry) in entries.iter().filter(|(name, _)| handler_of(name).is_some()) {
            moved |= self.see(Path::new(name), Some(Observed::entry(entry)), clock);
        }
        let not_found = self.seen.iter().filter(|(_, seen)| seen.look < self.looks);
        for path in not_found.map(|(path, _)| path.clone()).collect::<Vec<_>>() {
            let state = if is_listed(&path) { None } else { Observed::path(&self.root.join(&path)) };
            moved |= self.see(&path, state, clock);
        }
        moved
    }

    fn see(&mut self, path: &Path, state: Option<Observed>, clock: Clock) -> bool {
        let look = self.looks;
        let seen = |state, counts_at| Seen { state, counts_at, look, manifest: None, component: None };
        match self.seen.get_mut(path) {
            Some(known) if known.state == state => {
                known.look = look;
                return false;
            }
            Some(known) => *known = seen(state, clock.counts_at()),
            None => {
                let counts_at = clock.file_counts_at(state.as_ref());
                self.seen.insert(path.to_owned(), seen(state, counts_at));
            }
        }
        true
    }

    /// How a file looks, and when that counts; `None` for one that was never there.
    pub(super) fn state(&mut self, path: &Path, clock: Clock) -> (Option<Observed>, Option<Instant>) {
        if !self.seen.contains_key(path) && !is_listed(path) {
            self.see(path, Observed::path(&self.root.join(path)), clock);
        }
        self.seen.get(path).map_or((None, None), |seen| (seen.state.clone(), Some(seen.counts_at)))
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

    /// A manifest that is not TOML, if there is one: which components it means is not known.
    pub(super) fn unclear_manifest(&self) -> Option<&Path> {
        let is_unclear = |seen: &Seen| matches!(&seen.manifest, Some(Ok(text)) if text.is_unclear);
        self.seen.iter().find(|(_, seen)| is_unclear(seen)).map(|(path, _)| path.as_path())
    }

    /// When it counts that neither a handler's manifest is there nor its component.
    pub(super) fn absence_counts_at(&self, handler: &str, clock: Clock) -> Instant {
        let files = ["toml", "wasm"].map(|extension| PathBuf::from(format!("{handler}.{extension}")));
        files.iter().filter_map(|file| self.seen.get(file)).map(|seen| seen.counts_at).max().unwrap_or(clock.now)
    }

    /// When it counts that a handler's manifest is not there.
    pub(super) fn manifest_absence_counts_at(&self, handler: &str, clock: Clock) -> Instant {
        self.seen.get(Path::new(&format!("{handler}.toml"))).map_or(clock.now, |seen| seen.counts_at)
    }

    /// The components that a handler's manifest names, once the manifest itself counts.
    pub(super) fn named_by(&mut self, handler: &str, clock: Clock) -> BTreeSet<PathBuf> {
        let path = PathBuf::from(format!("{handler}.toml"));
        let Some(seen) = self.seen.get_mut(&path).filter(|seen| seen.counts_at <= clock.now) else {
            return BTreeSet::new();
        };
        let beside = PathBuf::from(format!("{handler}.wasm"));
        if is_to_be_read(seen.manifest.as_ref()) {
            let bytes = read(&self.root, &path, seen.state.as_ref(), MAX_MANIFEST);
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).map_err(|_| NotRead::NotUtf8));
            seen.manifest = Some(text.map(|text| Text::new(text, &beside)));
        }
        match &seen.manifest {
            Some(Ok(text)) => text.components.clone(),
            _ => BTreeSet::from([beside]),
        }
    }

    /// Reads a component, once as long as it looks the same, and as long as there is something left of the budget, from
    /// which its bytes are taken; returns whether it is known now. What failed is tried again.
    pub(super) fn examine(&mut self, path: &Path, verify: Verify, budget: &mut u64) -> bool {
        let Some(seen) = self.seen.get_mut(path) else { return true };
        if is_to_be_read(seen.component.as_ref()) {
            if *budget == 0 {
                return false;
            }
            let bytes = read(&self.root, path, seen.state.as_ref(), MAX_COMPONENT);
            *budget = budget.saturating_sub(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64));
            seen.component = Some(bytes.map(|bytes| Examined { digest: digest(&bytes), verdict: verify(&bytes) }));
        }
        true
    }

    /// A manifest's text, if it was read since it looks as it does.
    pub(super) fn text(&self, path: &Path) -> Option<Result<Arc<str>, NotRead>> {
        self.seen.get(path).map_or(Some(Err(NotRead::Missing)), |seen| {
            let text = seen.manifest.as_ref()?;
            Some(text.as_ref().map(|text| text.text.clone()).map_err(NotRead::clone))
        })
    }

    /// What was found out of a component, if it was read since it looks as it does.
    pub(super) fn component(&self, path: &Path) -> Option<Result<Examined, NotRead>> {
        self.seen.get(path).map_or(Some(Err(NotRead::Missing)), |seen| seen.component.clone())
    }

    /// Forgets files that are not there and that nobody names.
    pub(super) fn forget_all_but(&mut self, needed: &BTreeSet<&PathBuf>) {
        self.seen.retain(|path, seen| needed.contains(path) || (seen.state.is_some() && is_listed(path)));
    }
}

impl Text {
    fn new(text: String, beside: &Path) -> Self {
        let named = Manifest::named_components(&text);
        let component = named.component.map_or_else(|| Some(beside.to_owned()), |name| plain(&name));
        let middleware = named.middleware.iter().filter_map(|name| plain(name));
        let components = component.into_iter().chain(middleware).collect();
        Self { components, is_unclear: !named.are_all, text: text.into() }
    }
}

/// Whether a file was not read yet, or could not be, for a reason that may pass.
fn is_to_be_read<T>(known: Option<&Result<T, NotRead>>) -> bool {
    matches!(known, None | Some(Err(NotRead::Failed(_))))
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
