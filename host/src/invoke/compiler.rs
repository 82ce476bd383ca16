//! From the bytes of a component to an artifact.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sha2::{Digest, Sha256};
use wasmtime::Engine;

use super::artifact::Artifact;
use super::cache::{Cache, CacheSettings, Code};
use super::exports::{self, NotAHandler};
use super::outcome::sentence;
use super::profile::Profile;
use super::{HostError, engine};

mod child;
mod confined;

pub use confined::{Confines, compile_confined};

/// Where components are compiled.
#[derive(Clone, Debug)]
pub enum CompileIn {
    /// On the caller's thread and without limits: for components that are trusted, in tests and benches.
    ThisProcess,
    /// In a child process, within limits on its memory, CPU time and output. The program takes the arguments of
    /// [`Confines`] and ends in [`compile_confined`].
    Child(PathBuf),
}

/// Checks and compiles components, each once.
///
/// Compiling takes from 0.1 s (Rust) to 15 s (JavaScript, Python) of CPU; a component that is in the cache, some
/// milliseconds. The caller's thread waits for it, which should not be a worker's. One component is compiled at a time;
/// other callers wait for their turn.
pub struct Compiler {
    /// For each profile an engine of its own: their code differs.
    engines: Vec<(Profile, Engine)>,
    cache: Cache,
    place: CompileIn,
    parallel: bool,
    /// What is in use, by key.
    held: Mutex<HashMap<String, Weak<Code>>>,
    turn: Mutex<()>,
    stopped: AtomicBool,
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
    /// Compiling it takes more than a component of its size may cost, or breaks the compiler.
    #[error("the component cannot be compiled: {0}")]
    Contained(String),
    /// Nobody wants it any more, or the compiler was told to stop.
    #[error("the component was not compiled: it is not wanted any more, or the host stops")]
    Stopped,
    /// The compiled code cannot be kept, or the child process not be started.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl CompileError {
    /// Whether another attempt with the same component would fail the same way.
    pub fn is_fault_of_component(&self) -> bool {
        matches!(self, Self::NotAHandler(_) | Self::Invalid(_) | Self::Contained(_))
    }
}

impl Compiler {
    /// Opens the cache of compiled code.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be made, or is open to others than the host's own user.
    pub fn new(cache: &CacheSettings, place: CompileIn) -> Result<Self, HostError> {
        let engine = |profile| {
            engine::compiling(profile, true)
                .map(|engine| (profile, engine))
                .map_err(|error| HostError::new("wasmtime cannot compile on this machine", error))
        };
        Ok(Self {
            engines: Profile::ALL.into_iter().map(engine).collect::<Result<_, _>>()?,
            cache: Cache::open(cache)?,
            place,
            parallel: true,
            held: Mutex::default(),
            turn: Mutex::default(),
            stopped: AtomicBool::new(false),
        })
    }

    /// Child processes use one core: where others have records to work on. However low its priority, whoever computes on
    /// all cores is felt on all of them, and uses up what a control group may.
    pub fn on_one_core(self) -> Self {
        Self { parallel: false, ..self }
    }

    /// Makes a component ready to be called.
    ///
    /// # Errors
    ///
    /// Where it is no handler, does not compile within its limits, or its code cannot be written to the cache.
    pub fn load(&self, bytes: &[u8]) -> Result<Artifact, CompileError> {
        self.load_while(bytes, &|| true)
    }

    /// The same, as long as it is `wanted`: what is being compiled ends a moment after it is not.
    ///
    /// # Errors
    ///
    /// Those of [`Self::load`], and [`CompileError::Stopped`].
    pub fn load_while(&self, bytes: &[u8], wanted: &dyn Fn() -> bool) -> Result<Artifact, CompileError> {
        let interface = exports::check(bytes)?;
        let profile = Profile::of(interface);
        let digest = hex(&Sha256::digest(bytes));
        let key = key(&digest, self.engine(profile));
        let code = match self.find(&key) {
            Some(code) => code,
            None => self.compile(bytes, &key, profile, wanted)?,
        };
        Ok(Artifact::new(format!("sha256:{digest}"), interface, code))
    }

    /// Whether [`Self::load`] finds it in the cache.
    pub fn has(&self, bytes: &[u8]) -> bool {
        let Ok(interface) = exports::check(bytes) else { return false };
        self.find(&key(&hex(&Sha256::digest(bytes)), self.engine(Profile::of(interface)))).is_some()
    }

    fn engine(&self, profile: Profile) -> &Engine {
        let (_, engine) = self.engines.iter().find(|(its, _)| *its == profile).expect("one for each profile");
        engine
    }

    /// Ends what is being compiled, and compiles nothing more: [`Self::load`] then ends with [`CompileError::Stopped`]
    /// for what is not in the cache. Takes no time.
    pub fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    /// Forgets what was not used for a month, and what is too much. To be called when all that will be used is loaded.
    pub fn prune_cache(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, code| code.strong_count() > 0);
        let in_use: BTreeSet<_> = held.values().filter_map(|code| Some(code.upgrade()?.name().to_owned())).collect();
        drop(held);
        self.cache.prune(&in_use);
    }

    fn find(&self, key: &str) -> Option<Arc<Code>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).get(key).and_then(Weak::upgrade);
        held.or_else(|| Some(self.hold(key, self.cache.find(key)?)))
    }

    fn hold(&self, key: &str, code: Code) -> Arc<Code> {
        let code = Arc::new(code);
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), Arc::downgrade(&code));
        code
    }

    fn compile(
        &self,
        bytes: &[u8],
        key: &str,
        profile: Profile,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Arc<Code>, CompileError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever had the turn before may have compiled the same.
        if let Some(code) = self.find(key) {
            return Ok(code);
        }
        tracing::info!(
            "compiling a component of {} KiB, for {profile}: it is not in the cache yet",
            bytes.len() / 1024
        );
        let draft = self.cache.draft()?;
        match &self.place {
            CompileIn::ThisProcess => {
                let code = self
                    .engine(profile)
                    .precompile_component(bytes)
                    .map_err(|error| CompileError::Invalid(sentence(&error)))?;
                draft
                    .file()
                    .write_all(&code)
                    .map_err(|error| HostError::new("compiled code cannot be written", error))?;
            }
            CompileIn::Child(program) => {
                let confines = Confines::of(bytes.len(), self.parallel);
                let (code, scratch, wall) = (draft.file(), self.cache.folder(), confines.wall());
                let goes_on = || wanted() && !self.stopped.load(Relaxed);
                child::Order { program, bytes, code, scratch, wall }.compile(&confines, &goes_on)?;
            }
        }
        Ok(self.hold(key, self.cache.keep(key, draft)?))
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
