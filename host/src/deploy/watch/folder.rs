//! One tenant's folder: which of its handlers count, as they lay there together.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::super::file::NotRead;
use super::super::snapshot::Source;
use super::super::{Verify, place};
use super::clock::{Clock, Steady};
use super::files::Files;
use super::listing::list;
use super::observed::Observed;
use crate::config::{Code, Fault, is_name};

/// What has settled waits so long at most for the rest of its folder: files that are changed together shall count
/// together, and one that never settles shall not hold up its neighbours.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Components that a fault names.
const NAMED: usize = 3;

/// One tenant's folder.
pub(super) struct Folder {
    files: Files,
    /// What counts, by the handlers' names.
    held: BTreeMap<String, Held>,
    faults: Steady<Vec<Fault>>,
    /// Components alone that begin to run only when a manifest that is not TOML has been corrected.
    waiting: Option<Fault>,
    /// Handlers whose files have gone, whether that counts yet or not.
    missing: BTreeSet<String>,
    /// Those of them for which it counts.
    gone: BTreeSet<String>,
    /// Something has changed that does not count yet.
    unsettled: bool,
    /// Something could not be read, for a reason that how it looks does not show: it is tried again.
    failed: bool,
}

/// A handler that counts.
struct Held {
    source: Arc<Source>,
    /// What its files looked like.
    files: BTreeMap<PathBuf, Option<Observed>>,
}

/// A handler as its files are now.
struct Candidate {
    name: String,
    /// Its manifest's path, and whether there is one.
    manifest: PathBuf,
    has_manifest: bool,
    /// All of its files, and the manifest that may come.
    files: BTreeMap<PathBuf, Option<Observed>>,
    /// When the last of its files counts.
    counts_at: Instant,
}

/// Which changes count now.
struct Due {
    changed: Vec<Candidate>,
    gone: Vec<String>,
}

impl Folder {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            files: Files::new(root),
            held: BTreeMap::new(),
            faults: Steady::default(),
            waiting: None,
            missing: BTreeSet::new(),
            gone: BTreeSet::new(),
            unsettled: false,
            failed: false,
        }
    }

    /// Looks at the folder, which is there or is not; returns whether what counts has changed. Components are read as
    /// long as there is something left of the budget.
    pub(super) fn look(&mut self, is_there: bool, clock: Clock, verify: Verify, budget: &mut u64) -> bool {
        let (moved, faults) = self.observe(is_there, clock);
        let has_new_faults = self.faults.see(faults, clock);
        if !moved && !self.unsettled && !self.failed {
            return has_new_faults;
        }
        let waited = self.waiting.clone();
        let mut due = self.due(clock);
        if !due.changed.is_empty() {
            if !self.read(&due, verify, budget) {
                self.unsettled = true;
                return has_new_faults || self.waiting != waited;
            }
            // What has moved while it was read is not settled.
            if clock.waits() && self.observe(is_there, clock).0 {
                due = self.due(clock);
            }
        }
        self.take(due) || has_new_faults || self.waiting != waited
    }

    /// Reads the components of all that has changed; returns whether the budget was enough.
    fn read(&mut self, due: &Due, verify: Verify, budget: &mut u64) -> bool {
        let mut components = due.changed.iter().flat_map(Candidate::components);
        components.all(|component| self.files.examine(component, verify, budget))
    }

    /// Looks at all files; returns whether any is not as it was, and what is wrong with the folder itself. One that
    /// cannot be read keeps what it had. If it can be no tenant's, such as `lost+found`, nobody misses anything.
    fn observe(&mut self, is_there: bool, clock: Clock) -> (bool, Vec<Fault>) {
        if !is_there {
            return (self.files.observe(&[], clock), Vec::new());
        }
        match list(self.files.root()) {
            Ok(listing) => (self.files.observe(&listing.entries, clock), listing.faults),
            Err(_) if !self.name().is_some_and(is_name) => (false, Vec::new()),
            Err(error) => (false, vec![not_read(self.files.root(), &error)]),
        }
    }

    fn name(&self) -> Option<&str> {
        self.files.root().file_name()?.to_str()
    }

    /// Finds out what has changed and counts now.
    fn due(&mut self, clock: Clock) -> Due {
        let candidates = self.candidates(clock);
        self.forget(&candidates);
        let present: BTreeSet<&str> = candidates.iter().map(|candidate| &*candidate.name).collect();
        let absent = self.held.keys().filter(|name| !present.contains(name.as_str())).cloned();
        let (superseded, missing): (BTreeSet<_>, BTreeSet<_>) = absent.partition(|name| self.is_superseded(name));
        self.gone.retain(|name| missing.contains(name));
        let absent = superseded.into_iter().chain(missing.difference(&self.gone).cloned());
        let absent: Vec<_> = absent.map(|name| (self.files.absence_counts_at(&name, clock), name)).collect();
        self.missing = missing;

        let (known, changed): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|candidate| self.is_known(candidate));
        let times = || changed.iter().map(|candidate| candidate.counts_at).chain(absent.iter().map(|(at, _)| *at));
        let all_settled = times().all(|at| at <= clock.now);
        let one_has_waited = times().any(|at| at + PATIENCE <= clock.now);
        let counts = |at: Instant| at <= clock.now && (all_settled || one_has_waited);
        self.unsettled = !all_settled;
        let again = known.into_iter().filter(|known| self.held.get(&known.name).is_some_and(Held::failed));
        let changed = changed.into_iter().filter(|candidate| counts(candidate.counts_at));
        Due {
            changed: changed.chain(again).collect(),
            gone: absent.into_iter().filter(|(at, _)| counts(*at)).map(|(_, name)| name).collect(),
        }
    }

    /// Forgets the files that are of no handler any more.
    fn forget(&mut self, candidates: &[Candidate]) {
        let held = self.held.values().flat_map(|held| held.files.keys());
        let needed = candidates.iter().flat_map(|candidate| candidate.files.keys()).chain(held).collect();
        self.files.forget_all_but(&needed);
    }

    /// Every handler whose files are there: each manifest is one, and so is each component that no manifest names.
    fn candidates(&mut self, clock: Clock) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        // What manifests name that count, and what others name that do not count yet.
        let (mut taken, mut claimed) = (BTreeSet::new(), BTreeSet::new());
        for name in self.files.manifests() {
            let components = self.files.named_by(&name, clock);
            let candidate = self.candidate(name, true, components, clock);
            if candidate.counts_at <= clock.now {
                taken.extend(candidate.files.keys().cloned());
            } else {
                claimed.extend(candidate.files.keys().cloned());
                taken.extend(self.held.get(&candidate.name).into_iter().flat_map(|held| held.files.keys().cloned()));
            }
            candidates.push(candidate);
        }
        // One whose manifest has just gone keeps its components as long as that does not count: they may be renamed together.
        let just_gone = self.held.iter().filter(|(name, held)| {
            held.source.manifest.is_some()
                && !self.files.is_there(format!("{name}.toml").as_ref())
                && self.files.manifest_absence_counts_at(name, clock) > clock.now
        });
        taken.extend(just_gone.flat_map(|(_, held)| held.files.keys().cloned()));
        let mut waiting = Vec::new();
        for name in self.files.components_alone() {
            let component = PathBuf::from(format!("{name}.wasm"));
            let is_new = !self.held.contains_key(&name);
            if taken.contains(&component) || (is_new && claimed.contains(&component)) {
                continue;
            }
            // What a manifest that cannot be understood names may be any of them: none begins to run by itself meanwhile.
            if is_new && self.files.unclear_manifest().is_some() {
                waiting.push(format!("{name}.wasm"));
            } else {
                candidates.push(self.candidate(name, false, BTreeSet::from([component]), clock));
            }
        }
        self.waiting = self.files.unclear_manifest().and_then(|manifest| waits(self.files.root(), manifest, waiting));
        candidates
    }

    fn candidate(&mut self, name: String, has_manifest: bool, mut files: BTreeSet<PathBuf>, clock: Clock) -> Candidate {
        let manifest = PathBuf::from(format!("{name}.toml"));
        files.insert(manifest.clone());
        let states: Vec<_> = files.into_iter().map(|file| (self.files.state(&file, clock), file)).collect();
        let counts_at = states.iter().filter_map(|((_, at), _)| *at).max().unwrap_or(clock.now);
        let files = states.into_iter().map(|((observed, _), file)| (file, observed)).collect();
        Candidate { name, manifest, has_manifest, files, counts_at }
    }

    /// Whether a handler's component is still there, and has become another handler's. That is no loss.
    fn is_superseded(&self, name: &str) -> bool {
        let held = self.held.get(name);
        held.is_some_and(|held| held.source.manifest.is_none()) && self.files.is_there(format!("{name}.wasm").as_ref())
    }

    /// Whether its files look as they did when they last counted.
    fn is_known(&self, candidate: &Candidate) -> bool {
        self.held.get(&candidate.name).is_some_and(|held| held.files == candidate.files)
    }

    /// Makes changes count; returns whether any is one.
    fn take(&mut self, due: Due) -> bool {
        let mut changed = false;
        for candidate in due.changed {
            let Some(source) = self.source(&candidate) else {
                self.unsettled = true;
                continue;
            };
            let known = self.held.get(&candidate.name).filter(|held| *held.source == source);
            changed |= known.is_none();
            let source = known.map_or_else(|| Arc::new(source), |held| held.source.clone());
            self.held.insert(candidate.name, Held { source, files: candidate.files });
        }
        for name in due.gone {
            if self.missing.contains(&name) {
                self.gone.insert(name);
            } else {
                changed |= self.held.remove(&name).is_some();
            }
        }
        self.failed = self.held.values().any(Held::failed);
        changed
    }

    /// What was read of a candidate's files; `None` where one has moved since.
    fn source(&self, candidate: &Candidate) -> Option<Source> {
        let components = candidate.components().map(|file| Some((file.clone(), self.files.component(file)?)));
        Some(Source {
            name: candidate.name.clone(),
            manifest: if candidate.has_manifest { Some(self.files.text(&candidate.manifest)?) } else { None },
            components: components.collect::<Option<_>>()?,
        })
    }

    /// Lets go of a handler whose files have gone for long enough.
    pub(super) fn let_go(&mut self, name: &str) {
        self.gone.remove(name);
        self.missing.remove(name);
        self.held.remove(name);
    }

    pub(super) fn sources(&self) -> Vec<Arc<Source>> {
        self.held.values().map(|held| held.source.clone()).collect()
    }

    pub(super) fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.faults.get().iter().chain(&self.waiting)
    }

    pub(super) fn missing(&self) -> &BTreeSet<String> {
        &self.missing
    }

    pub(super) fn gone(&self) -> &BTreeSet<String> {
        &self.gone
    }

    /// The handlers that count.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.held.keys()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn is_settling(&self) -> bool {
        self.unsettled || self.faults.is_settling()
    }
}

impl Candidate {
    fn components(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.keys().filter(|file| **file != self.manifest)
    }
}

impl Held {
    /// Whether something of it could not be read.
    fn failed(&self) -> bool {
        let components = self.source.components.values().filter_map(|component| component.as_ref().err());
        let manifest = self.source.manifest.iter().filter_map(|manifest| manifest.as_ref().err());
        components.chain(manifest).any(|refused| matches!(refused, NotRead::Failed(_)))
    }
}

/// The fault of components that wait for a manifest, if there are any.
fn waits(root: &Path, manifest: &Path, mut components: Vec<String>) -> Option<Fault> {
    let more = components.len().saturating_sub(NAMED);
    components.truncate(NAMED);
    if more > 0 {
        components.push(format!("{more} more"));
    }
    let message =
        format!("it is not TOML, so {} may be meant by it, and will not run by itself", components.join(", "));
    (!components.is_empty()).then(|| {
        Fault::new(&place(&root.join(manifest)), Code::ComponentWaits, message, "correct or remove the manifest")
    })
}

pub(super) fn not_read(folder: &Path, error: &std::io::Error) -> Fault {
    let leads_nowhere = error.kind() == ErrorKind::NotFound || Errno::from_io_error(error) == Some(Errno::LOOP);
    let hint = match leads_nowhere {
        true => "it is a link that leads to no folder: turn it to one, or remove it",
        false => "let the host's user read the directory and enter its folders",
    };
    Fault::new(&place(folder), Code::DirectoryNotRead, format!("the directory cannot be read: {error}"), hint)
}
