//! A component that is ready to be loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::exports::{Interface, Wasi};

/// A compiled component. Workers load it from disk when they first call it, so that its pages are shared by all.
#[derive(Debug)]
pub struct Artifact {
    digest: Arc<str>,
    interface: Interface,
    code: PathBuf,
}

impl Artifact {
    pub(super) fn new(digest: String, interface: Interface, code: PathBuf) -> Self {
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

    /// Whether it imports the handler that it wraps, so that it is of no use without one.
    pub fn wraps(&self) -> bool {
        self.interface.wraps
    }

    /// Where its compiled code is.
    pub(super) fn code(&self) -> &Path {
        &self.code
    }
}
