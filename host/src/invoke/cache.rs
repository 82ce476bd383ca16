//! Compiled code on disk.
//!
//! Whoever can write here can run code as the host's user, so the folder must belong to that user alone. An entry is one
//! file, and its name says all that must hold of it: `<key>.<seal>.cwasm`. The key is what the code was compiled from
//! and for. The seal is over the key and the code: a digest, which protects from corruption (a full disk, a torn write)
//! and not from someone with our own rights; or, where the operator gives a secret, a MAC, so that replicas and image
//! builds may share a folder.
//!
//! Code is mapped by the workers, so a file is never changed in place: it is written as a draft, renamed when it is
//! whole, and from then on only ever unlinked. An entry is verified and mapped through one open file, so what is
//! verified is what is mapped, whoever unlinks it meanwhile.

use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use rustix::fs::{FlockOperation, OFlags, flock};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::HostError;
use super::compiler::hex;

mod prune;

#[cfg(test)]
mod tests;

/// How the name of an entry ends.
const ENTRY: &str = ".cwasm";

/// How the name of a file begins that is not whole yet.
const DRAFT: &str = ".draft-";

/// Where compiled code is kept, and what proves that it is ours.
#[derive(Clone, Debug)]
pub struct CacheSettings {
    /// The folder, private to the host's user. It is made where it is missing.
    pub folder: PathBuf,
    /// Without one, an entry is only protected from corruption.
    pub key: Option<CacheKey>,
}

/// A secret that entries are sealed with. Nothing prints it.
#[derive(Clone)]
pub struct CacheKey(Vec<u8>);

impl CacheKey {
    /// Bytes that nobody else knows. HMAC takes any number of them.
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }
}

impl std::fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CacheKey(..)")
    }
}

/// The open folder.
pub(super) struct Cache {
    folder: PathBuf,
    secret: Option<CacheKey>,
}

/// Compiled code that was verified, held open.
#[derive(Debug)]
pub(super) struct Code {
    name: String,
    file: File,
}

impl Code {
    /// Its name in the folder.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The file that was verified.
    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

/// A file for code that is being compiled. It is gone when this is dropped, and when the process is killed, with the next
/// start.
pub(super) struct Draft(NamedTempFile);

impl Draft {
    /// What the code is to be written to.
    pub(super) fn file(&self) -> &File {
        self.0.as_file()
    }
}

impl Cache {
    /// Opens the folder, or makes it with mode 0700. It need not be writable if it holds all that is asked for.
    pub(super) fn open(settings: &CacheSettings) -> Result<Self, HostError> {
        let CacheSettings { folder, key } = settings;
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
        let cache = Self { folder: folder.clone(), secret: key.clone() };
        cache.remove_leftovers();
        Ok(cache)
    }

    /// The code under that key, if it is there and proves to be what was once kept.
    pub(super) fn find(&self, key: &str) -> Option<Code> {
        let mut refusal = None;
        for name in self.names().into_iter().filter(|name| parts(name).is_some_and(|(its, _)| its == key)) {
            match self.verified(&name) {
                Ok(file) => {
                    touch(&file);
                    return Some(Code { name, file });
                }
                Err(error) => refusal = Some((name, error)),
            }
        }
        if let Some((name, error)) = refusal {
            tracing::warn!(
                code = "run.cache-entry", entry = %self.folder.join(name).display(),
                "an entry of the cache is not used, and its component is compiled again: {error}"
            );
        }
        None
    }

    /// A file to write code to.
    pub(super) fn draft(&self) -> Result<Draft, HostError> {
        loop {
            let draft = tempfile::Builder::new()
                .prefix(DRAFT)
                .tempfile_in(&self.folder)
                .map_err(|error| self.not_written(&error))?;
            // The lock says that somebody still writes here. Where there are no locks, a draft is at risk only while
            // another host starts.
            let _ = flock(draft.as_file(), FlockOperation::LockExclusive);
            // Before it was locked, a host that starts may have taken it for a leftover.
            if draft.as_file().metadata().is_ok_and(|about| about.nlink() > 0) {
                return Ok(Draft(draft));
            }
        }
    }

    /// Makes an entry of a draft that is whole.
    pub(super) fn keep(&self, key: &str, Draft(draft): Draft) -> Result<Code, HostError> {
        let file = draft.as_file();
        let sealed = file.sync_data().and_then(|()| self.seal(key, file));
        let name = format!("{key}.{}{ENTRY}", sealed.map_err(|error| self.not_written(&error))?);
        let file = draft.persist(self.folder.join(&name)).map_err(|error| self.not_written(&error.error))?;
        let _ = flock(&file, FlockOperation::Unlock);
        Ok(Code { name, file })
    }

    /// Opens an entry, and checks that it is a file of ours and what its name says.
    fn verified(&self, name: &str) -> io::Result<File> {
        let refused = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason);
        let file = open(&self.folder.join(name)).map_err(|error| match error.raw_os_error() {
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => refused("it is a symbolic link"),
            _ => error,
        })?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(refused("it is no regular file"));
        }
        if about.uid() != rustix::process::geteuid().as_raw() || about.mode() & 0o022 != 0 {
            return Err(refused("others than the host's user may write it"));
        }
        let (key, expected) = parts(name).ok_or_else(|| refused("its name is none of ours"))?;
        if equal(&self.seal(key, &file)?, expected) {
            return Ok(file);
        }
        Err(refused(match self.secret {
            Some(_) => "its code was not sealed with this host's `cache_key`, or is damaged",
            None => "its code is damaged, or was sealed with a `cache_key`",
        }))
    }

    /// What proves that this is the code which was kept under this key.
    fn seal(&self, key: &str, file: &File) -> io::Result<String> {
        Ok(match &self.secret {
            None => {
                let mut digest = Sha256::new_with_prefix(key);
                each_block(file, |block| digest.update(block))?;
                hex(&digest.finalize())
            }
            Some(CacheKey(secret)) => {
                let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
                mac.update(key.as_bytes());
                each_block(file, |block| mac.update(block))?;
                hex(&mac.finalize().into_bytes())
            }
        })
    }

    /// The names of all entries, whatever they are worth.
    fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|name| parts(name).is_some()).collect()
    }

    fn not_written(&self, error: &io::Error) -> HostError {
        HostError::new(format!("compiled code cannot be written to the cache, {}", self.folder.display()), error)
    }

    /// Where the files are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Opens a file that may be anything: a link is not followed, and a pipe does not wait for its other end.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// An entry's key and seal.
fn parts(name: &str) -> Option<(&str, &str)> {
    name.strip_suffix(ENTRY)?.split_once('.')
}

/// Says of an entry that it was used. One that cannot be changed is not ours to prune either.
fn touch(file: &File) {
    let _ = file.set_times(FileTimes::new().set_modified(SystemTime::now()));
}

/// Whether two seals are the same; how long it takes does not tell where they differ.
fn equal(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

fn each_block(file: &File, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut block = vec![0; 64 << 10];
    let mut offset = 0;
    loop {
        match file.read_at(&mut block, offset) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                take(&block[..read]);
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
