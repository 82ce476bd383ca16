//! `callgate check`: everything that is wrong, before anything runs.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::compile_component::compiler;
use super::input::cache_dir;
use super::{Format, PROPERTY_CHECK, WRONG_CONFIGURATION, counted};
use crate::config::{Environment, Fault, Operator, OperatorRead};
use crate::deploy::{self, Deployment, Found, Snapshot};
use crate::invoke::{CacheSettings, HostError};
use crate::pipeline::{Rehearsal, code_cache, verify};

mod imports;
mod json;
mod online;
mod text;

use imports::Imports;
use online::{Findings, Online};

/// Reports all faults of the configuration, the manifests and the components, and lists every handler: its version, its
/// routes and limits, and what becomes of each thing that its components import. Components are compiled into the host's
/// cache, and started once within their tenant's limits; no record is needed, and nothing is called. With `--online`,
/// asks the brokers too: which topics there are, what each tenant may do there, and what fits. Nothing is changed there.
///
/// The exit status is 0 where nothing is wrong and 2 where something is.
#[derive(Args, Debug)]
pub(super) struct Check {
    /// The operator's file.
    #[arg(long, value_name = "FILE", default_value = "callgate.toml")]
    config: PathBuf,
    /// Ask the brokers about topics, authorisation and limits; takes up to some 10 s where none answers.
    #[arg(long)]
    online: bool,
    /// Text for people, or one JSON object a line.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Check {
    /// Checks and prints: what was found on stdout, how many of what on stderr.
    pub(super) fn run(self) -> ExitCode {
        let OperatorRead { operator, faults } =
            Operator::read(&self.config, &Environment::of_this_process(), PROPERTY_CHECK);
        let directory = operator.as_ref().map(|operator| operator.deploy.directory.clone());
        let missing = directory.filter(|directory| !directory.exists());
        let (deployment, imports) = match operator.as_ref().map(read).transpose() {
            Ok(found) => found.unwrap_or_default(),
            Err(error) => {
                tell!("error: components cannot be checked: {error}");
                return ExitCode::FAILURE;
            }
        };
        let mut report = Report { faults, deployment, imports, online: None };
        if self.online {
            // Faulty settings have their defaults here, which are not for anybody's brokers.
            match operator.filter(|_| report.faults.is_empty()) {
                Some(operator) => report.online = Some(online::check(&operator, &report)),
                None => {
                    tell!("the brokers are not asked while the operator's file has faults");
                }
            }
        }
        let mut stdout = io::stdout().lock();
        let printed = match self.format {
            Format::Text => text::print(&report, &mut stdout),
            Format::Json => json::print(&report, &mut stdout),
        };
        // A reader that has gone, such as `head`, is no failure of the check.
        if printed.and_then(|()| stdout.flush()).is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe) {
            return ExitCode::FAILURE;
        }
        if let Some(missing) = missing {
            tell!("the deploy directory {} is not there yet, so there is no handler to check", missing.display());
        }
        tell!("{}", report.summary());
        if report.all_faults().next().is_some() { ExitCode::from(WRONG_CONFIGURATION) } else { ExitCode::SUCCESS }
    }
}

/// Reads the deploy directory and compiles what is there, into the host's cache. A person who may not write to that one
/// uses their own: what is wrong with a component does not depend on it.
fn read(operator: &Operator) -> Result<(Deployment, AllImports), HostError> {
    let settings = code_cache(operator);
    let compiler = compiler(&settings).or_else(|_| compiler(&CacheSettings { folder: cache_dir(), key: None }))?;
    let rehearsal = Rehearsal::new(Arc::new(operator.clone()), Arc::new(compiler))?;
    let mut deployment = deploy::read(operator, &Snapshot::now(&operator.deploy.directory, verify));
    let mut imports = BTreeMap::new();
    for found in &mut deployment.handlers {
        let Ok(handler) = &found.outcome else { continue };
        let explained = rehearsal
            .load(handler)
            .and_then(|()| imports::of(handler).map_err(|error| handler.component.refused(&error.to_string())));
        match explained {
            Ok(explained) => {
                imports.insert((found.tenant.clone(), found.name.clone()), explained);
            }
            Err(fault) => found.refuse(fault),
        }
    }
    Ok((deployment, imports))
}

/// What the components of each sound handler import, by its tenant's and its own name.
type AllImports = BTreeMap<(Arc<str>, Arc<str>), Vec<Imports>>;

/// What a check has found.
struct Report {
    /// Faults of the operator's file.
    faults: Vec<Fault>,
    deployment: Deployment,
    imports: AllImports,
    /// What the brokers say, where they were asked.
    online: Option<Online>,
}

impl Report {
    /// The faults that belong to no handler, and then those of each handler.
    fn all_faults(&self) -> impl Iterator<Item = &Fault> {
        let of_handlers = self.deployment.handlers.iter().filter_map(|found| found.outcome.as_ref().err()).flatten();
        let online = self.online.iter().flat_map(Online::all_faults);
        self.faults.iter().chain(&self.deployment.faults).chain(of_handlers).chain(online)
    }

    fn common_faults(&self) -> impl Iterator<Item = &Fault> {
        let online = self.online.iter().flat_map(|online| &online.faults);
        self.faults.iter().chain(&self.deployment.faults).chain(online)
    }

    fn imports(&self, found: &Found) -> &[Imports] {
        self.imports.get(&(found.tenant.clone(), found.name.clone())).map_or(&[], Vec::as_slice)
    }

    fn findings(&self, found: &Found) -> Option<&Findings> {
        self.online.as_ref()?.of(found)
    }

    /// One word on a handler; a sound one whose topics cannot be used is not ready.
    fn status(&self, found: &Found) -> &'static str {
        match &found.outcome {
            Err(_) => "refused",
            Ok(_) if self.findings(found).is_some_and(|findings| !findings.faults.is_empty()) => "unready",
            Ok(_) => "ok",
        }
    }

    fn summary(&self) -> String {
        let refused = |found: &&Found| found.outcome.is_err();
        let handlers = self.deployment.handlers.len();
        let refused = self.deployment.handlers.iter().filter(refused).count();
        let faults = self.all_faults().count();
        let summary = format!("{}, {refused} refused, {}", counted(handlers, "handler"), counted(faults, "fault"));
        match &self.online {
            Some(online) => format!("{summary}, {}", counted(online.warnings(), "warning")),
            None => summary,
        }
    }
}
