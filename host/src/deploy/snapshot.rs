//! What lies in the deploy directory, read: the files of each handler, and not yet what they mean.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::component::{ComponentFile, hex};
use super::file::NotRead;
use super::{Verify, Watch};
use crate::config::Fault;

/// The deploy directory at one moment: every tenant's folder as it was when nothing in it was changing.
///
/// Manifests are held as text, components by their digest. To clone it is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub(super) directory: PathBuf,
    /// The handlers of each tenant, by their names. A tenant has at least one.
    pub(super) tenants: BTreeMap<Arc<str>, Vec<Arc<Source>>>,
    /// What is wrong with the directory and its folders themselves.
    pub(super) faults: Vec<Fault>,
}

impl Snapshot {
    /// What lies there now, whether it is still changing or not: for a look that is not repeated.
    pub fn now(directory: &Path, verify: Verify) -> Self {
        Watch::at_once(directory, verify, Instant::now())
    }

    /// What is wrong with the directory and its folders themselves.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Every component that is a handler's or named by one, once, whatever else is wrong with that handler.
    pub fn components(&self) -> Vec<Listed> {
        let of_tenant = |(tenant, sources): (&Arc<str>, &Vec<Arc<Source>>)| {
            let root = self.directory.join(&**tenant);
            let named: BTreeMap<_, _> = sources.iter().flat_map(|source| &source.components).collect();
            let listed = named.into_iter().map(|(name, read)| {
                let file = match read {
                    Ok(Examined { digest, verdict: Ok(()) }) => Ok(ComponentFile::plain(&root, name, digest)),
                    Ok(Examined { verdict: Err(reason), .. }) => Err(reason.clone()),
                    Err(refused) => Err(format!("it {refused}")),
                };
                Listed { name: format!("{tenant}/{}", name.display()), file }
            });
            listed.collect::<Vec<_>>()
        };
        self.tenants.iter().flat_map(of_tenant).collect()
    }
}

/// A component in the deploy directory.
#[derive(Debug)]
pub struct Listed {
    /// Its tenant and its path in the tenant's folder.
    pub name: String,
    /// The component, or a sentence that says why it can be none of a handler's.
    pub file: Result<ComponentFile, String>,
}

/// The files of one handler, as they lay there together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) name: String,
    /// Its manifest's text; `None` where a component alone is the handler.
    pub(super) manifest: Option<Result<Arc<str>, NotRead>>,
    /// Its component, and all others that the manifest names, by their paths in the folder.
    pub(super) components: BTreeMap<PathBuf, Result<Examined, NotRead>>,
}

/// A component that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Examined {
    pub(super) digest: Arc<str>,
    /// Whether it can be a handler; if not, a sentence that says why.
    pub(super) verdict: Result<(), String>,
}

impl Source {
    /// The name of this version: `sha256:..` over manifest and components. Where one could not be read, the reason
    /// stands for it.
    pub(super) fn version(&self) -> Arc<str> {
        let mut hash = Sha256::new();
        // With its length before it, nothing that moves from one part to the next leaves the sum as it was.
        let mut part = |found: Result<&str, &NotRead>| {
            let text = found.map_or_else(ToString::to_string, str::to_owned);
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        match &self.manifest {
            Some(text) => part(text.as_deref()),
            None => part(Ok("")),
        }
        self.components.values().for_each(|component| part(component.as_ref().map(|examined| &*examined.digest)));
        hex(&hash.finalize())
    }

    /// Whether a path in the folder is that of its manifest.
    pub(super) fn is_manifest(&self, path: &Path) -> bool {
        self.manifest.is_some() && path.to_str().and_then(|path| path.strip_suffix(".toml")) == Some(&*self.name)
    }
}

/// The path within the folder that a manifest means, if it stays in there: `./a.wasm` and `a.wasm` are one file.
pub(super) fn plain(name: &str) -> Option<PathBuf> {
    let parts = Path::new(name).components().filter(|part| !matches!(part, Component::CurDir));
    parts.map(|part| matches!(part, Component::Normal(_)).then_some(part)).collect()
}
