//! `callgate compile`: fills the cache of compiled code before anything runs.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use callgate_core::printable::Printable;
use clap::Args;
use serde_json::json;

use super::compile_component::compiler;

use super::{Format, PROPERTY_CHECK, WRONG_CONFIGURATION, counted};
use crate::config::{Code, Environment, Operator, OperatorRead};
use crate::deploy::{Listed, Snapshot};
use crate::invoke::{Artifact, CacheSettings, Compiler};
use crate::pipeline::{code_cache, verify};

/// Compiles every component in the deploy directory into the cache, so that `callgate run` finds them there and starts
/// at once: when an image is built, or in an init container.
///
/// No broker is asked. Of the operator's file, `[deploy]` counts: secrets that other sections refer to need not be there.
/// What is compiled fits this version of Callgate and the kind of processor that it was compiled on; elsewhere, it is
/// compiled again.
///
/// Prints one line for each component. The exit status is 0 where all are in the cache now, 1 where one does not compile,
/// 2 where the operator's file has faults.
#[derive(Args, Debug)]
pub(super) struct Compile {
    /// The operator's file.
    #[arg(long, value_name = "FILE", default_value = "callgate.toml")]
    config: PathBuf,
    /// The folder to fill, instead of `[deploy] cache`.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Text for people, or one JSON object a line.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Compile {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Some((operator, settings)) = self.settings() else { return Ok(ExitCode::from(WRONG_CONFIGURATION)) };
        let compiler = match compiler(&settings) {
            Ok(compiler) => compiler,
            Err(error) => {
                tell!("error: {error}");
                return Ok(ExitCode::from(WRONG_CONFIGURATION));
            }
        };
        let directory = &operator.deploy.directory;
        if !directory.exists() {
            tell!("the deploy directory {} is not there yet, so there is nothing to compile", directory.display());
        }
        let snapshot = Snapshot::now(directory, verify);
        snapshot.faults().iter().for_each(|fault| {
            tell!("{fault}");
        });
        let components = snapshot.components();
        let mut refused = snapshot.faults().len();
        // What was compiled is in use until all is, so that it is not pruned.
        let mut artifacts = Vec::new();
        for component in &components {
            let ended = compile(component, &compiler)?;
            self.print(component, &ended)?;
            match ended {
                Ended::Ready { artifact, .. } => artifacts.push(artifact),
                Ended::Refused(_) => refused += 1,
            }
        }
        compiler.prune_cache();
        tell!("{}, {refused} refused, in {}", counted(components.len(), "component"), settings.folder.display());
        Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The operator's file, as far as it is needed, and the cache to fill. What is wrong is printed.
    fn settings(&self) -> Option<(Operator, CacheSettings)> {
        let OperatorRead { operator, mut faults } =
            Operator::read(&self.config, &Environment::of_this_process(), PROPERTY_CHECK);
        if operator.as_ref().is_some_and(|operator| operator.deploy.is_sound) {
            faults.retain(|fault| fault.code != Code::Reference);
        }
        let Some(operator) = operator.filter(|_| faults.is_empty()) else {
            faults.iter().for_each(|fault| {
                tell!("{fault}");
            });
            tell!("nothing is compiled: {} in the operator's file", counted(faults.len(), "fault"));
            return None;
        };
        let mut settings = code_cache(&operator);
        settings.folder = self.cache.clone().unwrap_or(settings.folder);
        Some((operator, settings))
    }

    fn print(&self, Listed { name, .. }: &Listed, ended: &Ended) -> io::Result<()> {
        let line = match (self.format, ended) {
            (Format::Text, Ended::Refused(reason)) => format!("{name} refused: {reason}"),
            (Format::Text, Ended::Ready { artifact, took: None }) => {
                format!("{name} {} in the cache", artifact.digest())
            }
            (Format::Text, Ended::Ready { artifact, took: Some(took) }) => {
                format!("{name} {} compiled in {:.1} s", artifact.digest(), took.as_secs_f64())
            }
            (Format::Json, Ended::Refused(reason)) => {
                json!({ "component": name, "status": "refused", "reason": reason }).to_string()
            }
            (Format::Json, Ended::Ready { artifact, took }) => json!({
                "component": name,
                "digest": **artifact.digest(),
                "status": if took.is_some() { "compiled" } else { "cached" },
                "seconds": took.map(|took| took.as_secs_f64()),
            })
            .to_string(),
        };
        match writeln!(io::stdout(), "{}", Printable(line)) {
            // A reader that has gone, such as `head`, does not keep the cache from being filled.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            printed => printed,
        }
    }
}

/// What became of a component.
enum Ended {
    /// It is in the cache; how long it took to compile it, where it was not there before.
    Ready { artifact: Artifact, took: Option<Duration> },
    /// Why it cannot run.
    Refused(String),
}

fn compile(Listed { name, file }: &Listed, compiler: &Compiler) -> anyhow::Result<Ended> {
    let file = match file {
        Ok(file) => file,
        Err(reason) => return Ok(Ended::Refused(reason.clone())),
    };
    let bytes = file.read().with_context(|| format!("{name} cannot be read"))?;
    let is_new = !compiler.has(&bytes);
    if is_new {
        tell!("compiling {}, {} KiB", Printable(name), bytes.len() / 1024);
    }
    let began = Instant::now();
    match compiler.load(&bytes) {
        Ok(artifact) => Ok(Ended::Ready { artifact, took: is_new.then(|| began.elapsed()) }),
        Err(error) if error.is_fault_of_component() => Ok(Ended::Refused(error.to_string())),
        Err(error) => Err(error.into()),
    }
}
