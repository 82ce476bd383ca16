//! A component that is ready to be loaded.

use std::fs::File;
use std::sync::Arc;

use super::cache::Code;
use super::exports::{Interface, NotAHandler, Wasi};
use super::profile::Profile;

/// A compiled component. Workers map it from disk when they first call it, so that its pages are shared by all. It costs
/// one file descriptor: what was verified stays there for as long as this lives, whoever unlinks it.
#[derive(Debug)]
pub struct Artifact {
    digest: Arc<str>,
    interface: Interface,
    code: Arc<Code>,
}

impl Artifact {
    pub(super) fn new(digest: String, interface: Interface, code: Arc<Code>) -> Self {
        Self { digest: digest.into(), interface, code }
    }

    /// The component's digest: `sha256:` and 64 hexadecimal digits, over its bytes.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// Which WASI it is written for.
    pub fn wasi(&self) -> Wasi {
        self.interface.wasi
    }

    /// What it is compiled and run with.
    pub(super) fn profile(&self) -> Profile {
        Profile::of(self.interface)
    }

    /// Whether it can be the last of its chain.
    ///
    /// # Errors
    ///
    /// Where it imports the handler that it wraps, so that it is of no use without one.
    pub fn is_handler(&self) -> Result<(), NotAHandler> {
        if self.interface.wraps { Err(NotAHandler::Middleware) } else { Ok(()) }
    }

    /// Its compiled code.
    pub(super) fn code(&self) -> &File {
        self.code.file()
    }
}
