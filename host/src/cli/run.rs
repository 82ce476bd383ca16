//! `callgate run`: the host, on real brokers.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::compile_component::compiler;
use super::load::load;
use super::signals::Signals;
use super::{WRONG_CONFIGURATION, check_property, counted};
use crate::config::{Environment, Operator, OperatorRead};
use crate::invoke::Compiler;
use crate::pipeline::{Brokers, Host, code_cache, host_settings};
use crate::telemetry::admin::{self, Told};
use crate::telemetry::metrics::Metrics;

/// Runs the host: joins the consumer groups of all handlers in the deploy directory, and calls them.
///
/// The deploy directory is read once, at the start. Every scalar of the operator's file can be overridden by the
/// environment, as in `CALLGATE__KAFKA__BOOTSTRAP_SERVERS`. `/healthz`, `/readyz` and `/metrics` are at `[admin] listen`.
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
            eprintln!("callgate does not start: {} in the operator's file", counted(faults.len(), "fault"));
            return Ok(ExitCode::from(WRONG_CONFIGURATION));
        };
        let compiler = match compiler(&code_cache(&operator)) {
            Ok(compiler) => compiler,
            Err(error) => {
                eprintln!("{}: [deploy] cache: {error}", self.config.display());
                return Ok(ExitCode::from(WRONG_CONFIGURATION));
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(serve(&operator, &compiler))?;
        // A question to a broker that does not answer must not hold the process.
        runtime.shutdown_background();
        Ok(ExitCode::SUCCESS)
    }
}

async fn serve(operator: &Operator, compiler: &Compiler) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    // Before anything takes long: an address in use is a fault too.
    let listener = admin::bind(operator.admin.listen).await?;
    let handlers = load(operator, compiler, Brokers::Real);
    if handlers.is_empty() {
        tracing::warn!(
            target: "callgate::deploy", code = "run.no-handler", directory = %operator.deploy.directory.display(),
            "no handler is loaded, so nothing is consumed: put <tenant>/<handler>.wasm into the deploy directory and start again"
        );
    }
    let metrics = Arc::new(Metrics::default());
    let host = Host::start(&host_settings(operator, &handlers), &handlers, metrics.clone())?;
    let groups = host.groups();
    tracing::info!(
        target: "callgate", handlers = handlers.len(), groups = groups.len(), admin = %listener.local_addr()?,
        brokers = operator.kafka.bootstrap_servers, "callgate runs"
    );
    let told = Told { groups: groups.into(), metrics };
    tokio::select! {
        served = admin::serve(listener, told) => served?,
        () = signals.next() => signals.drain(host).await,
    }
    Ok(())
}
