//! What can be known of a file without reading it.

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::file::Kind;

/// A name in a folder and what it leads to. As long as this stays the same, so do the bytes: whoever changes them
/// changes the file's `ctime`, which nobody can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Observed {
    about: Result<About, io::ErrorKind>,
    /// Where it really lies, if a link may lead there: one that is turned to another file is a change even if those two
    /// look alike.
    real: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct About {
    kind: Kind,
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds since the epoch.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Observed {
    /// An entry of a folder.
    pub(super) fn entry(entry: &DirEntry) -> Self {
        match entry.file_type() {
            // One that leads nowhere is something, too.
            Ok(kind) if kind.is_symlink() => Self::through_links(&entry.path()),
            // For what is no link this asks about the file itself, without resolving the whole path.
            _ => Self { about: about(entry.metadata()), real: None },
        }
    }

    /// A path, any part of which may be a link, if there is something.
    pub(super) fn path(path: &Path) -> Option<Self> {
        let observed = Self::through_links(path);
        (observed.about != Err(io::ErrorKind::NotFound)).then_some(observed)
    }

    fn through_links(path: &Path) -> Self {
        Self { about: about(fs::metadata(path)), real: path.canonicalize().ok() }
    }

    /// What it is, as far as that can be known.
    pub(super) fn kind(&self) -> Option<Kind> {
        self.about.as_ref().ok().map(|about| about.kind)
    }

    /// Whether its times all lie before this one.
    pub(super) fn is_older_than(&self, time: SystemTime) -> bool {
        self.about.as_ref().is_ok_and(|about| {
            [about.modified, about.changed].iter().all(|at| system_time(*at).is_some_and(|at| at < time))
        })
    }
}

fn about(found: io::Result<Metadata>) -> Result<About, io::ErrorKind> {
    let found = found.map_err(|error| error.kind())?;
    Ok(About {
        kind: Kind::of(found.file_type()),
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

/// A time before the epoch counts as the epoch; one that is too far ahead is none.
fn system_time((seconds, nanoseconds): (i64, i64)) -> Option<SystemTime> {
    let nanoseconds = u32::try_from(nanoseconds).unwrap_or(0);
    UNIX_EPOCH.checked_add(Duration::new(u64::try_from(seconds).unwrap_or(0), nanoseconds))
}
