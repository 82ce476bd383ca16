//! From the bytes of a component to an artifact.

use std::fmt::Write as _;
use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};
use wasmtime::Engine;

use super::artifact::Artifact;
use super::cache::Cache;
use super::exports::{self, NotAHandler, Wasi};
use super::{HostError, Settings, engine};

/// Checks and compiles components, each once.
///
/// Compiling takes from 0.1 s (Rust) to 15 s (JavaScript, Python) of CPU; a component that is in the cache, some
/// milliseconds. It happens on the caller's thread, which should not be a worker's.
pub struct Compiler {
    /// For each [`Wasi`] an engine of its own: their code differs.
    p2: Engine,
    p3: Engine,
    cache: Cache,
}

/// Why a component cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// It is no handler: what it is instead, and what to do.
    #[error(transparent)]
    NotAHandler(#[from] NotAHandler),
    /// wasmtime refuses it: it is invalid, or asks for what the sandbox does not have.
    #[error("the component does not compile: {0}")]
    Invalid(String),
    /// The compiled code cannot be kept.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Compiler {
    /// Opens the cache of compiled code.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be made, or is open to others than the host's own user.
    pub fn new(settings: &Settings) -> Result<Self, HostError> {
        let engine = |wasi| {
            engine::compiling(wasi).map_err(|error| HostError::new("wasmtime cannot compile on this machine", error))
        };
        Ok(Self { p2: engine(Wasi::P2)?, p3: engine(Wasi::P3)?, cache: Cache::open(&settings.cache_dir)? })
    }

    /// Makes a component ready to be called.
    ///
    /// # Errors
    ///
    /// Where it is no handler, does not compile, or its code cannot be written to the cache.
    pub fn load(&self, bytes: &[u8]) -> Result<Artifact, CompileError> {
        let interface = exports::check(bytes)?;
        let engine = match interface.wasi {
            Wasi::P2 => &self.p2,
            Wasi::P3 => &self.p3,
        };
        let digest = hex(&Sha256::digest(bytes));
        let key = key(&digest, engine);
        let code = match self.cache.find(&key) {
            Some(code) => code,
            None => {
                tracing::info!("compiling a component of {} KiB: it is not in the cache yet", bytes.len() / 1024);
                let code =
                    engine.precompile_component(bytes).map_err(|error| CompileError::Invalid(format!("{error:#}")))?;
                self.cache.store(&key, &code)?
            }
        };
        Ok(Artifact::new(format!("sha256:{digest}"), interface, code))
    }
}

/// What the code depends on: the component, and the version, settings and CPU features that wasmtime compiles for.
fn key(digest: &str, engine: &Engine) -> String {
    let mut hasher = Sha256Hasher(Sha256::new_with_prefix(digest));
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hex(&hasher.0.finalize())
}

/// Feeds what wants to be hashed to SHA-256: the standard library's hasher may change with its version.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not asked for: the digest is taken as a whole.
    fn finish(&self) -> u64 {
        0
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
