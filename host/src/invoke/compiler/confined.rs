//! The child process in which one component is compiled: it confines itself, then reads what a stranger wrote.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, RawFd};
use std::panic;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit, setsid};

use super::super::outcome::sentence;
use super::super::profile::Profile;
use super::super::{DESCRIPTORS, engine, exports};

/// Exit status: the component is invalid; what is wrong stands on stderr.
pub(super) const INVALID: u8 = 1;
/// Exit status: something else went wrong; it stands on stderr.
pub(super) const FAILED: u8 = 3;

/// The lowest priority there is: records go first.
const NICE: i32 = 19;

/// What compiling one component may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confines {
    /// Bytes of address space.
    pub memory: u64,
    /// CPU time of all threads together, in seconds.
    pub cpu: u64,
    /// Bytes of compiled code.
    pub code: u64,
    /// Whether it may use all cores, or one.
    pub parallel: bool,
}

impl Confines {
    /// For a component of so many bytes. Measured with wasmtime 48.0.8 on two slow cores:
    ///
    /// | component | CPU time | address space | resident | code |
    /// |---|---|---|---|---|
    /// | Rust, 0.14 MiB | 0.4 s | 1.3 GiB | 0.1 GiB | 0.7 MiB |
    /// | JavaScript, 12 MiB | 29 s | 2.2 GiB | 1.0 GiB | 72 MiB |
    /// | Python, 18 MiB | 21 s | 2.2 GiB | 0.8 GiB | 49 MiB |
    ///
    /// One GiB of the address space is the allocator's reserve, and every thread of the compiler (one a core) has some
    /// for itself.
    pub fn of(bytes: usize, parallel: bool) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if parallel { cores as u64 } else { 1 };
        let bytes = bytes as u64;
        Self {
            memory: (3 << 30) + 64 * (threads << 20) + 128 * bytes,
            cpu: 60 + 10 * bytes.div_ceil(1 << 20),
            code: (64 << 20) + 16 * bytes,
            parallel,
        }
    }

    /// How long it may take until it ends, or is ended. Other work goes first, so this says little about the component: it is
    /// for a child that was stopped, or hangs.
    pub(super) fn wall(&self) -> Duration {
        Duration::from_secs(self.cpu.saturating_mul(10))
    }
}

/// Compiles the component on stdin to stdout: the whole life of the child process. Whatever it is killed for, its parent
/// tells. `parent` is the parent's process id, without whom it ends.
pub fn compile_confined(confines: &Confines, parent: u32) -> ExitCode {
    // What the panic says, without where in whose source.
    panic::set_hook(Box::new(|panic| eprint!("{}", panic.payload_as_str().unwrap_or("it panicked"))));
    let compiled = confine(confines, parent).map_err(|error| (FAILED, format!("it cannot confine itself: {error}")));
    match compiled.and_then(|()| compile(confines.parallel)) {
        Ok(()) => ExitCode::SUCCESS,
        Err((status, reason)) => {
            eprint!("{reason}");
            ExitCode::from(status)
        }
    }
}

/// Gives up all that compiling does not need.
fn confine(confines: &Confines, parent: u32) -> io::Result<()> {
    // A person's Ctrl-C is for the host, which drains. By hand, in a shell, there is a session already, and it stays.
    let in_own_session = setsid().is_ok();
    close_inherited()?;
    end_with(parent)?;
    limit(Resource::As, confines.memory)?;
    limit(Resource::Cpu, confines.cpu)?;
    limit(Resource::Fsize, confines.code)?;
    limit(Resource::Core, 0)?;
    nice(NICE)?;
    if in_own_session {
        // Where Linux shares the processors among sessions first, the number above counts within this one only.
        let _ = fs::write("/proc/self/autogroup", NICE.to_string());
    }
    // Where memory is short, the kernel is to end this process before any other. Not every system has it.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    Ok(())
}

/// Closes what the parent has open and not marked as its own: the pipes of librdkafka's threads.
fn close_inherited() -> io::Result<()> {
    let open = fs::read_dir(DESCRIPTORS)?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    for descriptor in open.collect::<Vec<_>>().into_iter().filter(|descriptor| *descriptor > 2) {
        // The one that the folder was read by is closed already.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn end_with(parent: u32) -> io::Result<()> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};

    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before it was asked for the signal.
    let parents = getppid().map(|parent| parent.as_raw_nonzero().get().cast_unsigned());
    if parents == Some(parent) { Ok(()) } else { Err(io::Error::other("its parent has ended")) }
}

#[cfg(not(target_os = "linux"))]
fn end_with(_parent: u32) -> io::Result<()> {
    Ok(())
}

/// Lowers a limit; where the system's is lower, that one holds.
fn limit(resource: Resource, wanted: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.map_or(wanted, |most| most.min(wanted));
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

fn compile(parallel: bool) -> Result<(), (u8, String)> {
    let failed = |error: io::Error| (FAILED, error.to_string());
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).map_err(failed)?;
    let interface = exports::check(&bytes).map_err(|refusal| (INVALID, refusal.to_string()))?;
    let engine = engine::compiling(Profile::of(interface), parallel).map_err(|error| (FAILED, sentence(&error)))?;
    let code = engine.precompile_component(&bytes).map_err(|error| (INVALID, sentence(&error)))?;
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(failed)?);
    out.write_all(&code).map_err(failed)
}
