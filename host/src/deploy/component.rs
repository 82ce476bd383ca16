//! A component in a tenant's folder: where it is, and which bytes it was when it was found.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::file::{self, MAX_COMPONENT, NotRead};
use super::snapshot::{Source, plain};
use crate::config::{Code, Fault, Located, Place};

/// A component as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentFile {
    /// Where it is.
    pub path: PathBuf,
    /// `sha256:` and 64 hexadecimal digits over its bytes.
    pub digest: Arc<str>,
    /// Where it is named: faults point there.
    place: Place,
    name: Arc<str>,
}

impl ComponentFile {
    /// A component for its own sake; faults point at the file.
    pub(super) fn plain(root: &Path, name: &Path, digest: &Arc<str>) -> Self {
        let path = root.join(name);
        let (place, name) = (super::place(&path), name.to_string_lossy().as_ref().into());
        Self { path, digest: digest.clone(), place, name }
    }

    /// What the manifest calls it: its path within the tenant's folder.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The bytes, if they are still those that were found: what runs is what was checked.
    ///
    /// # Errors
    /// Where the file has gone or has changed. Both are seen by the watch, too.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let bytes = file::read(&self.path, MAX_COMPONENT)
            .map_err(|refused| io::Error::other(format!("{} {refused}", self.path.display())))?;
        if *digest(&bytes) == *self.digest {
            return Ok(bytes);
        }
        let message = format!("{} has changed since it was checked", self.path.display());
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }

    /// The fault of a component that was found and cannot be run; the reason is a sentence.
    pub fn refused(&self, reason: &str) -> Fault {
        refused(&self.name, reason, &self.place)
    }

    /// The fault of a component that the host could not run for want of something of its own, and tries again.
    pub fn not_now(&self, reason: &str) -> Fault {
        let message = format!("{} cannot be run yet: {reason}", self.name);
        Fault::new(&self.place, Code::ComponentRefused, message, "wait: it is tried again every few seconds")
    }
}

/// Finds the component `name` among what was read with the manifest. `wanted` is the digest that the manifest insists
/// on; faults point at `place`, where the component is named.
pub(super) fn find(
    source: &Source,
    root: &Path,
    name: &str,
    wanted: Option<&Located<String>>,
    place: &Place,
) -> Result<ComponentFile, Vec<Fault>> {
    let Some(path) = plain(name) else { return Err(vec![not_read(&NotRead::Missing, name, place)]) };
    if source.is_manifest(&path) {
        return Err(vec![refused(name, "it is the manifest itself", place)]);
    }
    let read = source.components.get(&path).unwrap_or(&Err(NotRead::Missing));
    let examined = read.as_ref().map_err(|refused| vec![not_read(refused, name, place)])?;
    let digest = examined.digest.clone();
    let mut faults = Vec::new();
    if let Some(wanted) = wanted.filter(|wanted| *wanted.value != *digest) {
        let message = format!("{name} is {digest}, which is not the component that `digest` names");
        let hint = "deploy that component, or write the digest of this one";
        faults.push(Fault::new(&wanted.place, Code::DigestMismatch, message, hint));
    }
    if let Err(reason) = &examined.verdict {
        faults.push(refused(name, reason, place));
    }
    if faults.is_empty() {
        Ok(ComponentFile { path: root.join(path), digest, place: place.clone(), name: name.into() })
    } else {
        Err(faults)
    }
}

/// The digest of a component, as it is written.
pub(super) fn digest(bytes: &[u8]) -> Arc<str> {
    hex(&Sha256::digest(bytes))
}

/// `sha256:` and the digits.
pub(super) fn hex(digest: &[u8]) -> Arc<str> {
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}").into()
}

fn refused(name: &str, reason: &str, place: &Place) -> Fault {
    let hint =
        "replace it by a component that exports wasi:http/incoming-handler (WASI 0.2) or wasi:http/handler (0.3)";
    Fault::new(place, Code::ComponentRefused, format!("{name} cannot be run: {reason}"), hint)
}

fn not_read(refused: &NotRead, name: &str, place: &Place) -> Fault {
    let (code, message, hint) = match refused {
        NotRead::Outside => {
            (Code::PathOutside, format!("{name} {refused}"), "put the file itself into the folder".to_owned())
        }
        NotRead::TooLarge(_) => (
            Code::ComponentTooLarge,
            format!("the component {name} {refused}"),
            "build it without debug information, and leave data that it does not need out of it".to_owned(),
        ),
        _ => (
            Code::ComponentMissing,
            format!("the component {name} {refused}"),
            "put it into the tenant's folder, or name another in the manifest".to_owned(),
        ),
    };
    Fault::new(place, code, message, hint)
}
