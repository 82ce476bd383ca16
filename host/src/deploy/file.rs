//! Reading one file of a tenant's folder: nothing outside of it, nothing that blocks, nothing without end.

use std::fmt;
use std::fs::{File, FileType};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};

/// Bytes of a component at most. It is held in memory while it is read and compiled; the largest that tools make today
/// bring an interpreter along, some 40 MiB.
pub(super) const MAX_COMPONENT: u64 = 128 << 20;

/// Bytes of a manifest at most: more than any that a person writes.
pub(super) const MAX_MANIFEST: u64 = 1 << 20;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Fifo,
    Socket,
    Device,
}

impl Kind {
    pub(super) fn of(kind: FileType) -> Self {
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Folder
        } else if kind.is_fifo() {
            Self::Fifo
        } else if kind.is_socket() {
            Self::Socket
        } else {
            Self::Device
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::Fifo => "a FIFO",
            Self::Socket => "a socket",
            Self::Device => "a device",
        })
    }
}

/// Why a file of a tenant's folder is not read, as the end of a sentence about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotRead {
    #[error("is not there")]
    Missing,
    #[error("is a link that leads out of the tenant's folder")]
    Outside,
    #[error("is {0} and no file")]
    NotAFile(Kind),
    #[error("has more than {} MiB", .0 >> 20)]
    TooLarge(u64),
    #[error("is not UTF-8")]
    NotUtf8,
    #[error("cannot be read: {0}")]
    Failed(String),
}

impl From<io::Error> for NotRead {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound { Self::Missing } else { Self::Failed(error.to_string()) }
    }
}

/// Reads a file of a tenant's folder, of at most so many bytes.
///
/// Links are followed as long as they stay in the folder: whoever may write one tenant's must not reach another's
/// files, or the host's. Where the path leads is found out first. Then it is walked without any link, so that one that
/// is put there meanwhile is an error and leads nowhere. A hard link cannot be told from the file itself: making one to
/// a file of somebody else is for the system to forbid (`fs.protected_hardlinks` on Linux).
pub(super) fn read_inside(root: &Path, name: &Path, most: u64) -> Result<Vec<u8>, NotRead> {
    let real_root = root.canonicalize()?;
    let real = root.join(name).canonicalize()?;
    let inside = real.strip_prefix(&real_root).map_err(|_| NotRead::Outside)?;
    let mut folder = open(CWD, &real_root, OFlags::DIRECTORY)?;
    let mut parts = inside.iter().map(Path::new).peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return read_open(open(folder, part, UNBLOCKING)?.into(), most);
        }
        folder = open(folder, part, OFlags::DIRECTORY)?;
    }
    Err(NotRead::NotAFile(Kind::Folder))
}

/// Reads a file, wherever its path leads.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>, NotRead> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | UNBLOCKING, Mode::empty());
    read_open(file.map_err(io::Error::from)?.into(), most)
}

/// To open a FIFO or a device does not wait for its other end, or take it as the terminal.
const UNBLOCKING: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

fn open(folder: impl AsFd, name: &Path, flags: OFlags) -> Result<OwnedFd, NotRead> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(rustix::fs::openat(folder, name, flags, Mode::empty()).map_err(io::Error::from)?)
}

fn read_open(file: File, most: u64) -> Result<Vec<u8>, NotRead> {
    let about = file.metadata()?;
    let kind = Kind::of(about.file_type());
    if kind != Kind::File {
        return Err(NotRead::NotAFile(kind));
    }
    if about.len() > most {
        return Err(NotRead::TooLarge(most));
    }
    // It may grow while it is read.
    let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or(0));
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(NotRead::TooLarge(most)) } else { Ok(bytes) }
}
