//! The parent's side of a child process that compiles one component: starts it, watches it, and says how it ended.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::super::HostError;
use super::CompileError;
use super::confined::{Confines, INVALID};

#[cfg(test)]
mod tests;

/// How often the child is looked at. Compiling takes a hundred milliseconds at least.
const LOOK: Duration = Duration::from_millis(10);

/// Bytes of what the child says that a person gets to see.
const SAID: u64 = 2 << 10;

/// What a child says that has no room for more: Rust before it aborts, the system where a file is read, and where a thread
/// is to be started.
const OUT_OF_MEMORY: [&str; 3] = ["memory allocation of", "out of memory", "Resource temporarily unavailable"];

/// One component to compile.
pub(super) struct Order<'a> {
    /// The program that does it.
    pub(super) program: &'a Path,
    /// The component.
    pub(super) bytes: &'a [u8],
    /// Where its code goes.
    pub(super) code: &'a File,
    /// A folder for unnamed files.
    pub(super) scratch: &'a Path,
    /// How long the child may take.
    pub(super) wall: Duration,
}

impl Order<'_> {
    /// Has the component compiled, as long as it `goes_on`.
    pub(super) fn compile(&self, confines: &Confines, goes_on: &dyn Fn() -> bool) -> Result<(), CompileError> {
        let fault = |error: std::io::Error| HostError::new("a component cannot be compiled in a child process", error);
        if !goes_on() {
            return Err(CompileError::Stopped);
        }
        // Files instead of pipes: neither side ever waits for the other to read.
        let unnamed = || tempfile::tempfile_in(self.scratch);
        let (mut component, mut said) = unnamed().and_then(|file| Ok((file, unnamed()?))).map_err(fault)?;
        component.write_all(self.bytes).and_then(|()| component.rewind()).map_err(fault)?;
        let started = self.start(confines, &component, &said).map_err(fault)?;
        let status = Running(started).wait(self.wall, goes_on)?.map_err(fault)?;
        let mut words = Vec::new();
        said.seek(SeekFrom::Start(0)).and_then(|_| said.take(SAID).read_to_end(&mut words)).map_err(fault)?;
        ended(status, &plain(&words), confines)
    }

    fn start(&self, confines: &Confines, component: &File, said: &File) -> std::io::Result<Child> {
        Command::new(self.program)
            .arg("compile-component")
            .args(confines.parallel.then_some("--parallel"))
            .args(["--memory", &confines.memory.to_string()])
            .args(["--cpu", &confines.cpu.to_string()])
            .args(["--code", &confines.code.to_string()])
            .args(["--parent", &std::process::id().to_string()])
            .env_clear()
            .stdin(Stdio::from(component.try_clone()?))
            .stdout(Stdio::from(self.code.try_clone()?))
            .stderr(Stdio::from(said.try_clone()?))
            .spawn()
    }
}

/// A child that does not outlive this.
struct Running(Child);

impl Running {
    fn wait(mut self, wall: Duration, goes_on: &dyn Fn() -> bool) -> Result<std::io::Result<ExitStatus>, CompileError> {
        let deadline = Instant::now() + wall;
        loop {
            match self.0.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => return Ok(Ok(status)),
                Err(error) => return Ok(Err(error)),
            }
            if !goes_on() {
                return Err(CompileError::Stopped);
            }
            if Instant::now() >= deadline {
                let reason = format!("compiling it did not end within {} s, so it was killed", wall.as_secs());
                return Err(CompileError::Contained(reason));
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only where it has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What it means that the child ended so.
fn ended(status: ExitStatus, said: &str, confines: &Confines) -> Result<(), CompileError> {
    const SUCCESS: i32 = 0;
    const REFUSED: i32 = INVALID as i32;
    const PANICKED: i32 = 101;
    let signal = status.signal().and_then(Signal::from_named_raw);
    Err(CompileError::Contained(match (status.code(), signal) {
        (Some(SUCCESS), _) => return Ok(()),
        (Some(REFUSED), _) => return Err(CompileError::Invalid(said.to_owned())),
        (None, Some(Signal::TERM | Signal::INT | Signal::HUP)) => return Err(CompileError::Stopped),
        (None, Some(Signal::XCPU)) => {
            format!("compiling it took more than {} s of CPU time, the most for a component of its size", confines.cpu)
        }
        (None, Some(Signal::XFSZ)) => format!(
            "its compiled code is larger than {} MiB, the most for a component of its size",
            confines.code >> 20
        ),
        _ if OUT_OF_MEMORY.iter().any(|words| said.contains(words)) => format!(
            "compiling it took more than {} MiB of memory, the most for a component of its size",
            confines.memory >> 20
        ),
        (None, Some(Signal::KILL)) => {
            "the compiler was killed, by a person or by the system where memory is short".to_owned()
        }
        (None | Some(PANICKED), _) => format!("the compiler crashed on it ({status}) {said}"),
        (Some(_), _) => return Err(HostError::new("a component cannot be compiled in a child process", said).into()),
    }))
}

/// Printable, and in one line.
fn plain(words: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(words).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
