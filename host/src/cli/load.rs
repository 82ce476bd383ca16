//! From the deploy directory to handlers that can run, told as it goes.

use std::sync::Arc;

use crate::config::{Fault, Operator};
use crate::deploy::{self, Deployment, Snapshot};
use crate::invoke::{self, Compiler};
use crate::pipeline::{Assembler, Brokers, Handler};

/// Every handler that can run. A faulty one is refused alone, and loudly.
pub(super) fn load(operator: &Operator, compiler: &Compiler, brokers: Brokers) -> Vec<Arc<Handler>> {
    let snapshot = Snapshot::now(&operator.deploy.directory, verify);
    let Deployment { handlers: found, faults } = deploy::read(operator, &snapshot);
    faults.iter().for_each(|fault| refused("the deploy directory has a fault", "", "", fault));
    let mut assembler = Assembler::new(operator, compiler, brokers);
    let mut handlers = Vec::new();
    for found in &found {
        match &found.outcome {
            Ok(sound) => match assembler.handler(sound) {
                Ok(handler) => {
                    tracing::info!(
                        target: "callgate::deploy", tenant = %found.tenant, handler = %found.name,
                        digest = %handler.callable.digest(), group = handler.group_id, "a handler is loaded"
                    );
                    handlers.push(handler);
                }
                Err(error) => tracing::error!(
                    target: "callgate::deploy", tenant = %found.tenant, handler = %found.name, "a handler is refused: {error:#}"
                ),
            },
            Err(faults) => {
                faults.iter().for_each(|fault| refused("a handler is refused", &found.tenant, &found.name, fault));
            }
        }
    }
    handlers
}

fn refused(what: &str, tenant: &str, handler: &str, fault: &Fault) {
    tracing::error!(target: "callgate::deploy", tenant, handler, code = fault.code.as_str(), "{what}: {fault}");
}

/// Whether a component can be a handler at all, as the deploy directory asks.
pub(super) fn verify(bytes: &[u8]) -> Result<(), String> {
    invoke::check(bytes).map_err(|error| error.to_string())
}
