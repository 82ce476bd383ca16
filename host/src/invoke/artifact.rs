//! A component that is ready to be loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A compiled component. Workers load it from disk when they first call it, so that its pages are shared by all.
#[derive(Debug)]
pub struct Artifact {
    digest: Arc<str>,
    code: PathBuf,
}

impl Artifact {
    pub(super) fn new(digest: String, code: PathBuf) -> Self {
        Self { digest: digest.into(), code }
    }

    /// The component's digest: `sha256:` and 64 hexadecimal digits, over its bytes.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// Where its compiled code is.
    pub(super) fn code(&self) -> &Path {
        &self.code
    }
}
