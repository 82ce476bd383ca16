//! `callgate compile-component`: how this program compiles one component in a child process of its own. Not for people.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::invoke::{CacheSettings, CompileIn, Compiler, Confines, HostError, compile_confined};

/// Compiles the component on stdin to stdout, within limits.
#[derive(Args, Debug)]
pub(super) struct CompileComponent {
    /// Bytes of address space.
    #[arg(long)]
    memory: u64,
    /// Seconds of CPU time.
    #[arg(long)]
    cpu: u64,
    /// Bytes of compiled code.
    #[arg(long)]
    code: u64,
    /// Use all cores.
    #[arg(long)]
    parallel: bool,
    /// The process that waits for it.
    #[arg(long)]
    parent: u32,
}

impl CompileComponent {
    pub(super) fn run(self) -> ExitCode {
        let Self { memory, cpu, code, parallel, parent } = self;
        compile_confined(&Confines { memory, cpu, code, parallel }, parent)
    }
}

/// A compiler for components of strangers: each is compiled in a child process, which runs this very program.
pub(super) fn compiler(cache: &CacheSettings) -> Result<Compiler, HostError> {
    // Linux finds the file that this process was started from even where an upgrade has put another in its place.
    let program = if cfg!(target_os = "linux") {
        PathBuf::from("/proc/self/exe")
    } else {
        std::env::current_exe().map_err(|error| HostError::new("this program does not find itself", error))?
    };
    Compiler::new(cache, CompileIn::Child(program))
}
