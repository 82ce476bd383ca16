//! Compiled code on disk.
//!
//! Whoever can write here can run code as the host's user, so the folder must belong to that user alone. An entry is
//! two files, the code and its digest. The digest protects from corruption (a full disk, a torn write), not from
//! someone with our own rights. Code is mapped by the workers, so a file is never changed in place: it is written under
//! a temporary name and renamed.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::HostError;
use super::compiler::hex;

pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens the folder, or makes it with mode 0700.
    pub(super) fn open(folder: &Path) -> Result<Self, HostError> {
        let fault = |reason: String| {
            HostError::new(format!("the cache of compiled code, {}, cannot be used", folder.display()), reason)
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| fault(error.to_string()))?;
        let about = fs::metadata(folder).map_err(|error| fault(error.to_string()))?;
        let us = rustix::process::geteuid().as_raw();
        if about.uid() != us {
            return Err(fault(format!(
                "it belongs to user {}, and this process runs as user {us}. Whoever can write there can run code as \
                 this process: give it a folder of its own",
                about.uid()
            )));
        }
        if about.mode() & 0o077 != 0 {
            return Err(fault(format!(
                "its mode is {:03o}, so other users can reach it. Whoever can write there can run code as this \
                 process: `chmod 700` it",
                about.mode() & 0o777
            )));
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// The file with the code, if it is there and whole.
    pub(super) fn find(&self, key: &str) -> Option<PathBuf> {
        let code = self.code(key);
        let expected = fs::read_to_string(self.digest(key)).ok()?;
        let actual = hex(&Sha256::digest(fs::read(&code).ok()?));
        (actual == expected.trim_end()).then_some(code)
    }

    /// Keeps the code, and returns its file.
    pub(super) fn store(&self, key: &str, code: &[u8]) -> Result<PathBuf, HostError> {
        let path = self.code(key);
        let digest = format!("{}\n", hex(&Sha256::digest(code)));
        self.write(&path, code)
            .and_then(|()| self.write(&self.digest(key), digest.as_bytes()))
            .map_err(|error| HostError::new(format!("compiled code cannot be written to {}", path.display()), error))?;
        Ok(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = NamedTempFile::new_in(&self.folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    fn code(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.cwasm"))
    }

    fn digest(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.sha256"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_stored_is_found_and_what_is_damaged_is_not() {
        let folder = tempfile::tempdir().expect("it works");
        let cache = Cache::open(&folder.path().join("deep/cache")).expect("it works");
        assert_eq!(cache.find("key"), None);

        let path = cache.store("key", b"code").expect("it works");
        assert_eq!(cache.find("key"), Some(path.clone()));

        fs::write(&path, b"cod").expect("it works");
        assert_eq!(cache.find("key"), None);

        cache.store("key", b"code").expect("it works");
        assert_eq!(cache.find("key"), Some(path));
    }

    #[test]
    fn a_folder_that_others_can_reach_is_refused() {
        let folder = tempfile::tempdir().expect("it works");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).expect("it works");
        let refusal = Cache::open(folder.path()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refusal.contains("its mode is 750") && refusal.contains("chmod 700"), "{refusal}");
    }
}
