//! `callgate run`: the host, on real brokers.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use futures::future::OptionFuture;

use super::compile_component::compiler;
use super::signals::{Asked, Signals};
use super::{PROPERTY_CHECK, WRONG_CONFIGURATION, counted};
use crate::config::{Environment, Fault, Operator, OperatorRead};
use crate::invoke::Compiler;
use crate::machine;
use crate::pipeline::{Brokers, Host, Overview, Reconciler, code_cache, host_settings};
use crate::telemetry::admin::{self, Told};
use crate::telemetry::metrics::Metrics;

/// Runs the host: joins the consumer groups of all handlers in the deploy directory, and calls them.
///
/// The deploy directory is watched: a file that is put there is deployed once it has been unchanged for 1 s, one that is
/// replaced is swapped while records flow, one that is deleted drains. Every scalar of the operator's file can be
/// overridden by the environment, as in `CALLGATE__KAFKA__BOOTSTRAP_SERVERS`. `/healthz`, `/readyz` and `/metrics` are at
/// `[admin] listen`.
///
/// Logs go to stderr; nothing is printed on stdout. SIGHUP reads the operator's file again. SIGTERM and SIGINT drain:
/// nothing more is taken in, what is being worked on ends, offsets are committed, the groups are left. A second signal
/// ends the process at once.
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
        machine::raise_open_files();
        let operator = match read(&self.config) {
            Ok(operator) => operator,
            Err(faults) => {
                faults.iter().for_each(|fault| {
                    tell!("{fault}");
                });
                tell!("callgate does not start: {} in the operator's file", counted(faults.len(), "fault"));
                return Ok(ExitCode::from(WRONG_CONFIGURATION));
            }
        };
        let compiler = match compiler(&code_cache(&operator)) {
            Ok(compiler) => Arc::new(compiler.on_one_core()),
            Err(error) => {
                tell!("{}: [deploy] cache: {error}", self.config.display());
                return Ok(ExitCode::from(WRONG_CONFIGURATION));
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(serve(&self.config, operator, compiler))?;
        // A question to a broker that does not answer must not hold the process.
        runtime.shutdown_background();
        Ok(ExitCode::SUCCESS)
    }
}

/// The operator's file, or all that is wrong with it.
fn read(config: &Path) -> Result<Operator, Vec<Fault>> {
    let OperatorRead { operator, faults } = Operator::read(config, &Environment::of_this_process(), PROPERTY_CHECK);
    operator.filter(|_| faults.is_empty()).ok_or(faults)
}

async fn serve(config: &Path, operator: Operator, compiler: Arc<Compiler>) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    // Before anything takes long: an address in use is a fault too.
    let listener = admin::bind(operator.admin.listen).await?;
    let (metrics, overview) = (Arc::new(Metrics::default()), Arc::new(Overview::default()));
    let host = Host::start(host_settings(&operator), metrics.clone())?;
    tracing::info!(
        target: "callgate", admin = %listener.local_addr()?, brokers = operator.kafka.bootstrap_servers,
        directory = %operator.deploy.directory.display(), "callgate runs"
    );
    let network = host.network().clone();
    let reconciler = Reconciler::start(operator, compiler, Brokers::Real, host, overview.clone(), Box::new(|_| {}));
    let told = Told { overview, metrics, network };
    let mut admin = std::pin::pin!(admin::serve(listener, told));
    // On a thread of its own: what a `${file:..}` names may not answer, and nobody else is to wait for it.
    let mut reading = None;
    loop {
        tokio::select! {
            served = &mut admin => return Ok(served?),
            asked = signals.next() => match asked {
                Asked::Reload => {
                    let config = config.to_owned();
                    reading = Some(tokio::task::spawn_blocking(move || read(&config)));
                }
                Asked::Stop => break,
            },
            Some(read) = OptionFuture::from(reading.as_mut()) => {
                reading = None;
                reload(config, read?, &reconciler);
            }
        }
    }
    signals.drain(reconciler).await;
    Ok(())
}

/// A faulty file changes nothing.
fn reload(config: &Path, read: Result<Operator, Vec<Fault>>, reconciler: &Reconciler) {
    match read {
        Ok(operator) => reconciler.reload(operator),
        Err(faults) => {
            for fault in &faults {
                tracing::error!(target: "callgate::deploy", code = fault.code.as_str(), "{fault}");
            }
            tracing::error!(
                target: "callgate::deploy", code = "run.reload-refused", file = %config.display(),
                "the operator's file was read again and has {}; nothing changes", counted(faults.len(), "fault")
            );
        }
    }
}
