//! `callgate run`: the host, on real brokers.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::signals::drain_on_signals;
use super::{WRONG_CONFIGURATION, check_property};
use crate::config::{Environment, Operator, OperatorRead};
use crate::deploy::{self, Deployment};
use crate::invoke::Compiler;
use crate::pipeline::{Assembler, Handler, Host, host_settings, sandbox_settings};
use crate::telemetry::admin::{self, Told};
use crate::telemetry::metrics::Metrics;

/// Runs the host: joins the consumer groups of all handlers in the deploy directory, and calls them.
///
/// Logs go to stderr; nothing is printed on stdout. SIGTERM and SIGINT drain: nothing more is taken in, what is being
/// worked on ends, offsets are committed, the groups are left. A second signal ends the process at once.
///
/// The exit status is 0 after a drain, 1 where the host failed, 2 where the operator's file has faults.
#[derive(Args, Debug)]
pub(super) struct Run {
    /// The operator's file.
    #[arg(long, value_name = "FILE", default_value = "callgate.toml")]
    config: PathBuf,
}

impl Run {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let OperatorRead { operator, faults } =
            Operator::read(&self.config, &Environment::of_this_process(), &check_property);
        let Some(operator) = operator.filter(|_| faults.is_empty()) else {
            faults.iter().for_each(|fault| eprintln!("{fault}"));
            eprintln!("callgate does not start: {} in the operator's file", super::counted(faults.len(), "fault"));
            return Ok(ExitCode::from(WRONG_CONFIGURATION));
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Before anything takes long: an address in use is a fault of the configuration too.
        let listener = runtime.block_on(admin::bind(operator.admin.listen))?;

        let compiler = Compiler::new(&sandbox_settings(&operator))?;
        let handlers = load(&operator, &compiler);
        let metrics = Arc::new(Metrics::default());
        let host = Host::start(&host_settings(&operator, &handlers), &handlers, metrics.clone())?;
        tracing::info!(
            target: "callgate", handlers = handlers.len(), groups = host.groups().len(), admin = %listener.local_addr()?,
            brokers = operator.kafka.bootstrap_servers, "callgate runs"
        );
        runtime.block_on(async {
            let told = Told { groups: host.groups().into(), metrics };
            let admin = tokio::spawn(admin::serve(listener, told));
            drain_on_signals(host).await?;
            admin.abort();
            anyhow::Ok(())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Every handler that can run. A faulty one is refused alone, and loudly.
fn load(operator: &Operator, compiler: &Compiler) -> Vec<Arc<Handler>> {
    let verify = |bytes: &[u8]| {
        tracing::info!(target: "callgate::deploy", bytes = bytes.len(), "loading a component; one that is not in the cache is compiled, which takes up to some 15 s");
        compiler.load(bytes).map(|_| ()).map_err(|error| error.to_string())
    };
    let Deployment { handlers: found, faults } = deploy::read(operator, &verify);
    for fault in &faults {
        tracing::error!(target: "callgate::deploy", code = fault.code.as_str(), "{fault}");
    }
    let mut assembler = Assembler::new(operator, compiler);
    let mut handlers = Vec::new();
    for found in &found {
        let sound = match &found.outcome {
            Ok(sound) => sound,
            Err(faults) => {
                for fault in faults {
                    tracing::error!(
                        target: "callgate::deploy", tenant = %found.tenant, handler = %found.name,
                        code = fault.code.as_str(), "a handler is refused: {fault}"
                    );
                }
                continue;
            }
        };
        match assembler.handler(sound) {
            Ok(handler) => {
                tracing::info!(
                    target: "callgate::deploy", tenant = %found.tenant, handler = %found.name,
                    digest = %handler.callable.artifact.digest(), group = handler.group_id, "a handler is loaded"
                );
                handlers.push(handler);
            }
            Err(error) => tracing::error!(
                target: "callgate::deploy", tenant = %found.tenant, handler = %found.name, %error, "a handler is refused"
            ),
        }
    }
    if handlers.is_empty() {
        tracing::warn!(
            target: "callgate::deploy", directory = %operator.deploy.directory.display(),
            "no handler is loaded, so nothing is consumed: put <tenant>/<handler>.wasm into the deploy directory and start again"
        );
    }
    handlers
}
