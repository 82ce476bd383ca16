//! The deploy directory of `callgate dev`: the one that was named, or one that is made for the component that was.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The tenant of a component that is named on the command line.
const TENANT: &str = "dev";

/// Where the handlers lie.
pub(super) enum Folder {
    Given(PathBuf),
    Staged(Staged),
}

/// A folder for one component, with a copy of it beside a manifest.
pub(super) struct Staged {
    component: PathBuf,
    copy: PathBuf,
    directory: TempDir,
    /// How the component looked when it was copied.
    copied: Option<Look>,
}

/// Device, inode, size and the times of a file: one that looks the same has the same bytes.
type Look = (u64, u64, u64, (i64, i64), (i64, i64));

impl Folder {
    /// Makes a deploy directory for a component, the handler `name` of a tenant of its own.
    pub(super) fn stage(component: &Path, name: &str, manifest: &str) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let tenant = directory.path().join(TENANT);
        fs::create_dir(&tenant)?;
        fs::write(tenant.join(format!("{name}.toml")), manifest)?;
        let copy = tenant.join(format!("{name}.wasm"));
        let mut folder = Self::Staged(Staged { component: component.to_owned(), copy, directory, copied: None });
        folder.refresh()?;
        Ok(folder)
    }

    /// The deploy directory.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Staged(staged) => staged.directory.path(),
        }
    }

    /// What a person changes.
    pub(super) fn source(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Staged(staged) => &staged.component,
        }
    }

    /// Takes over what a person has changed. It need not be complete: the copy changes for as long as the component
    /// does, and counts when it has settled, as in every deploy directory.
    pub(super) fn refresh(&mut self) -> io::Result<()> {
        let Self::Staged(staged) = self else { return Ok(()) };
        // Before it is copied: what changes meanwhile is copied again.
        let look = look(&fs::metadata(&staged.component)?);
        if staged.copied != Some(look) {
            fs::copy(&staged.component, &staged.copy)?;
            staged.copied = Some(look);
        }
        Ok(())
    }
}

fn look(file: &Metadata) -> Look {
    let modified = (file.mtime(), file.mtime_nsec());
    (file.dev(), file.ino(), file.size(), modified, (file.ctime(), file.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_copied_when_it_has_changed_and_kept_when_it_is_gone() {
        let home = tempfile::tempdir().expect("a folder");
        let component = home.path().join("orders.wasm");
        fs::write(&component, "1").expect("a file");
        let mut folder = Folder::stage(&component, "orders", "# a manifest").expect("a folder");
        let copy = folder.path().join("dev/orders.wasm");
        let copied = |copy: &Path| fs::read_to_string(copy).expect("a file");
        assert_eq!(copied(&copy), "1");

        fs::write(&copy, "untouched").expect("a file");
        folder.refresh().expect("the component is there");
        assert_eq!(copied(&copy), "untouched");

        fs::write(&component, "22").expect("a file");
        folder.refresh().expect("the component is there");
        assert_eq!(copied(&copy), "22");

        fs::remove_file(&component).expect("a file");
        assert!(folder.refresh().is_err());
        assert_eq!(copied(&copy), "22");
    }
}
