//! A component in a tenant's folder: where it is, and which bytes it was when it was found.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Verify;
use crate::config::{Code, Fault, Located, Place};

/// A component as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentFile {
    /// Where it is.
    pub path: PathBuf,
    /// `sha256:` and 64 hexadecimal digits over its bytes: the version's name.
    pub digest: Arc<str>,
}

impl ComponentFile {
    /// The file's name.
    pub fn name(&self) -> Arc<str> {
        self.path.file_name().map_or_else(Default::default, |name| name.to_string_lossy().as_ref().into())
    }

    /// The bytes, if they are still those that were found: what runs is what was checked.
    pub fn read(&self) -> std::io::Result<Vec<u8>> {
        let bytes = std::fs::read(&self.path)?;
        if digest(&bytes) == *self.digest {
            return Ok(bytes);
        }
        let message = format!("{} has changed since it was checked", self.path.display());
        Err(std::io::Error::new(std::io::ErrorKind::InvalidData, message))
    }
}

/// Finds the component `name` in a tenant's folder. `wanted` is the digest that the manifest insists on; faults point
/// at `place`, where the component is named.
pub(super) fn find(
    root: &Path,
    name: &str,
    wanted: Option<&Located<String>>,
    place: &Place,
    verify: Verify<'_>,
) -> Result<ComponentFile, Vec<Fault>> {
    let path = root.join(name);
    let bytes = read_inside(root, &path).map_err(|refused| vec![refused.fault(name, place)])?;
    let digest = digest(&bytes);
    let mut faults = Vec::new();
    if let Some(wanted) = wanted.filter(|wanted| wanted.value != digest) {
        let message = format!("{name} is {digest}, which is not the component that `digest` names");
        let hint = "deploy that component, or write the digest of this one";
        faults.push(Fault::new(&wanted.place, Code::DigestMismatch, message, hint));
    }
    if let Err(reason) = verify(&bytes) {
        let hint = "replace it by a component that exports wasi:http/incoming-handler";
        faults.push(Fault::new(place, Code::ComponentRefused, format!("{name} cannot be run: {reason}"), hint));
    }
    if faults.is_empty() { Ok(ComponentFile { path, digest: digest.into() }) } else { Err(faults) }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Why a file of a tenant's folder is not read.
pub(super) enum NotRead {
    /// A link on the way leads out of the folder.
    Outside,
    /// It is not there, or not readable.
    Failed(std::io::Error),
}

impl NotRead {
    fn fault(&self, name: &str, place: &Place) -> Fault {
        match self {
            Self::Outside => {
                let message = format!("{name} is a link that leads out of the tenant's folder");
                Fault::new(place, Code::PathOutside, message, "put the file itself into the folder")
            }
            Self::Failed(error) => {
                let message = format!("the component {name} cannot be read: {error}");
                Fault::new(
                    place,
                    Code::ComponentMissing,
                    message,
                    "put it into the tenant's folder, or name another with `component`",
                )
            }
        }
    }
}

/// Reads a file that lies in a tenant's folder. Links are followed as long as they stay in it: whoever may write one
/// tenant's folder must not reach another's files, or the host's.
pub(super) fn read_inside(root: &Path, path: &Path) -> Result<Vec<u8>, NotRead> {
    let resolve = |path: &Path| path.canonicalize().map_err(NotRead::Failed);
    let real = resolve(path)?;
    if !real.starts_with(resolve(root)?) {
        return Err(NotRead::Outside);
    }
    std::fs::read(real).map_err(NotRead::Failed)
}
