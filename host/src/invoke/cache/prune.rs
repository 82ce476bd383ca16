//! What the cache forgets, so that it does not grow for ever.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

use super::{Cache, DRAFT, open, touch};

/// How long an entry stays that no host has used. Rolling back to it within a month compiles nothing.
const MAX_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Bytes of entries that this host does not use. A component in Rust is compiled to about 2 MiB, one in JavaScript to 30.
const MAX_UNUSED: u64 = 4 << 30;

impl Cache {
    /// Unlinks what was not used for a month, and of the rest what was not used for the longest time, until it fits.
    /// `in_use` are entries that this process holds: they stay, and count as used now.
    ///
    /// Another host that shares the folder loses nothing but time by this: what it has loaded it holds open.
    pub(in super::super) fn prune(&self, in_use: &BTreeSet<String>) {
        let now = SystemTime::now();
        let mut unused = Vec::new();
        for name in self.names() {
            let path = self.folder.join(&name);
            if in_use.contains(&name) {
                if let Ok(file) = open(&path) {
                    touch(&file);
                }
            } else if let Ok(about) = fs::symlink_metadata(&path) {
                unused.push((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), about.len(), path));
            }
        }
        unused.sort_by(|(a, ..), (b, ..)| b.cmp(a));
        let mut bytes = 0;
        for (used, length, path) in unused {
            bytes += length;
            if bytes > MAX_UNUSED || now.duration_since(used).is_ok_and(|age| age > MAX_AGE) {
                // One that cannot be unlinked, in a folder that may only be read, is somebody else's to prune.
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Unlinks the drafts of hosts that were killed: nobody holds their locks.
    pub(super) fn remove_leftovers(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(DRAFT)) {
            // Unlinked under the lock: whoever has just made it waits for that, and sees that it is gone.
            if let Ok(file) = open(&entry.path())
                && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
