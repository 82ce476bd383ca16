//! Whether files have changed, and are no longer changing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// A file counts when it has been unchanged for so long: while it is being written, half of it is often valid.
const SETTLED: Duration = Duration::from_secs(1);

type Seen = Vec<(PathBuf, Option<SystemTime>, u64)>;

/// A file, or all files of a folder, as they were last seen.
pub(super) struct Changes {
    source: PathBuf,
    taken: Seen,
    seen: Seen,
    since: Instant,
}

impl Changes {
    /// As they are now.
    pub(super) fn of(source: &Path) -> Self {
        let now = look(source);
        Self { source: source.to_owned(), taken: now.clone(), seen: now, since: Instant::now() }
    }

    /// Whether they differ from what was last taken, and have been as they are for a while. True once a change.
    pub(super) fn settled(&mut self) -> bool {
        let now = look(&self.source);
        if now != self.seen {
            self.seen = now;
            self.since = Instant::now();
        }
        let settled = self.seen != self.taken && self.since.elapsed() >= SETTLED;
        if settled {
            self.taken.clone_from(&self.seen);
        }
        settled
    }
}

/// Names, times and sizes, of a folder two levels deep: that of the tenants, and theirs.
fn look(source: &Path) -> Seen {
    let mut seen = Vec::new();
    let mut folders = vec![(source.to_owned(), 0)];
    while let Some((path, depth)) = folders.pop() {
        let Ok(about) = fs::metadata(&path) else { continue };
        if about.is_dir() && depth <= 2 {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            folders.extend(entries.map(|entry| (entry.path(), depth + 1)));
        } else {
            seen.push((path, about.modified().ok(), about.len()));
        }
    }
    seen.sort();
    seen
}
