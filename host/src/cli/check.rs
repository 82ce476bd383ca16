//! `callgate check`: everything that is wrong, before anything runs.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::input::cache_dir;
use super::{Format, WRONG_CONFIGURATION, check_property, counted};
use crate::config::{Environment, Fault, Operator, OperatorRead};
use crate::deploy::{self, Deployment, Found};
use crate::invoke::{self, Compiler, HostError};
use crate::pipeline::sandbox_settings;

mod json;
mod text;

/// Reports all faults of the configuration, the manifests and the components, and lists every handler.
///
/// The exit status is 0 where nothing is wrong and 2 where something is.
#[derive(Args, Debug)]
pub(super) struct Check {
    /// The operator's file.
    #[arg(long, value_name = "FILE", default_value = "callgate.toml")]
    config: PathBuf,
    /// Text for people, or one JSON object a line.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Check {
    /// Checks and prints: what was found on stdout, how many of what on stderr.
    pub(super) fn run(self) -> ExitCode {
        let OperatorRead { operator, faults } =
            Operator::read(&self.config, &Environment::of_this_process(), &check_property);
        let deployment = match operator.as_ref().map(read).transpose() {
            Ok(deployment) => deployment.unwrap_or_default(),
            Err(error) => {
                eprintln!("error: components cannot be checked: {error}");
                return ExitCode::FAILURE;
            }
        };
        let report = Report { faults, deployment };
        let mut stdout = io::stdout().lock();
        let printed = match self.format {
            Format::Text => text::print(&report, &mut stdout),
            Format::Json => json::print(&report, &mut stdout),
        };
        // A reader that has gone, such as `head`, is no failure of the check.
        if printed.and_then(|()| stdout.flush()).is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe) {
            return ExitCode::FAILURE;
        }
        eprintln!("{}", report.summary());
        if report.all_faults().next().is_some() { ExitCode::from(WRONG_CONFIGURATION) } else { ExitCode::SUCCESS }
    }
}

/// Reads the deploy directory and compiles what is there, into the host's cache. A person who may not write to that one
/// uses their own: what is wrong with a component does not depend on it.
fn read(operator: &Operator) -> Result<Deployment, HostError> {
    let settings = sandbox_settings(operator);
    let compiler = Compiler::new(&settings)
        .or_else(|_| Compiler::new(&invoke::Settings { cache_dir: cache_dir(), ..settings.clone() }))?;
    Ok(deploy::read(operator, &|bytes| compiler.load(bytes).map(|_| ()).map_err(|error| error.to_string())))
}

/// What a check has found.
struct Report {
    /// Faults of the operator's file.
    faults: Vec<Fault>,
    deployment: Deployment,
}

impl Report {
    /// The faults that belong to no handler, and then those of each handler.
    fn all_faults(&self) -> impl Iterator<Item = &Fault> {
        let of_handlers = self.deployment.handlers.iter().filter_map(|found| found.outcome.as_ref().err()).flatten();
        self.common_faults().chain(of_handlers)
    }

    fn common_faults(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().chain(&self.deployment.faults)
    }

    fn summary(&self) -> String {
        let refused = |found: &&Found| found.outcome.is_err();
        let handlers = self.deployment.handlers.len();
        let refused = self.deployment.handlers.iter().filter(refused).count();
        let faults = self.all_faults().count();
        format!("{}, {refused} refused, {}", counted(handlers, "handler"), counted(faults, "fault"))
    }
}
