//! What only the brokers know: whether each handler's topics and group are there, and what its tenant may do with them.
//!
//! Everything is asked with the tenant's own credentials, and nothing is changed.

use std::collections::BTreeMap;
use std::panic;
use std::sync::Arc;
use std::thread;

use super::Report;
use crate::broker::{ClientSettings, Inspector, NoAnswer};
use crate::config::{Code, Fault, Operator, Place};
use crate::deploy::{Found, Handler};
use crate::pipeline::{Brokers, client_settings};

mod judge;
mod view;

use view::View;

/// What the brokers say of the whole configuration.
#[derive(Debug, Default)]
pub(super) struct Online {
    /// Why some handlers could not be asked about.
    pub(super) faults: Vec<Fault>,
    handlers: BTreeMap<(Arc<str>, Arc<str>), Findings>,
}

/// What the brokers say of one handler.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// What keeps it, or a part of it, from working.
    pub(super) faults: Vec<Fault>,
    /// What should be looked at, or cannot be told.
    pub(super) warnings: Vec<Fault>,
    /// For each of its routes, how many topics of it there are now.
    pub(super) topics: Vec<usize>,
}

impl Online {
    pub(super) fn of(&self, found: &Found) -> Option<&Findings> {
        self.handlers.get(&(found.tenant.clone(), found.name.clone()))
    }

    /// Those of all handlers, too.
    pub(super) fn all_faults(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().chain(self.handlers.values().flat_map(|findings| &findings.faults))
    }

    pub(super) fn warnings(&self) -> usize {
        self.handlers.values().map(|findings| findings.warnings.len()).sum()
    }
}

/// A sound handler, and where it is written.
#[derive(Clone, Copy)]
struct Subject<'a> {
    handler: &'a Handler,
    place: &'a Place,
}

/// The handlers whose tenants reach the brokers in the same way, and so share a client here.
struct ClientSet<'a> {
    client: ClientSettings,
    subjects: Vec<Subject<'a>>,
}

/// Asks the brokers about every sound handler of the report.
pub(super) fn check(operator: &Operator, report: &Report) -> Online {
    let sets = client_sets(operator, report);
    // A set whose broker does not answer takes seconds, which the others need not wait for.
    let answers: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = sets.iter().map(|set| scope.spawn(|| ask(operator, set))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|cause| panic::resume_unwind(cause))).collect()
    });
    let mut online = Online::default();
    for answer in answers {
        match answer {
            Ok(findings) => online.handlers.extend(findings),
            Err(fault) => online.faults.push(fault),
        }
    }
    online
}

fn client_sets<'a>(operator: &Operator, report: &'a Report) -> Vec<ClientSet<'a>> {
    let mut sets: Vec<ClientSet<'a>> = Vec::new();
    for found in &report.deployment.handlers {
        let Ok(handler) = &found.outcome else { continue };
        let subject = Subject { handler, place: &found.place };
        let client = client_settings(operator, &handler.tenant, Brokers::Real);
        match sets.iter_mut().find(|set| set.client == client) {
            Some(set) => set.subjects.push(subject),
            None => sets.push(ClientSet { client, subjects: vec![subject] }),
        }
    }
    sets
}

type Answers = Vec<((Arc<str>, Arc<str>), Findings)>;

fn ask(operator: &Operator, set: &ClientSet<'_>) -> Result<Answers, Fault> {
    let inspector = Inspector::new(&set.client).map_err(|error| {
        let message = format!("the Kafka client does not take the settings {}: {error}", whose(set));
        Fault::new(place(operator, set), Code::PropertyInvalid, message, "correct the properties")
    })?;
    let view = View::of(&inspector, &set.subjects, operator.kafka.delivery).map_err(|no_answer| {
        let servers = &set.client.bootstrap_servers;
        let (code, message, hint) = match no_answer {
            NoAnswer::Credentials(reason) => (
                Code::BrokerCredentials,
                format!("the brokers at {servers} do not take the credentials {}: {reason}", whose(set)),
                "correct `sasl.mechanism`, `sasl.username` and `sasl.password`",
            ),
            NoAnswer::Unreachable(reason) => (
                Code::BrokerUnreachable,
                format!("the brokers at {servers} cannot be asked with the settings {}: {reason}", whose(set)),
                "start them, or correct `bootstrap_servers` and `security.protocol`",
            ),
            NoAnswer::Refused(reason) => (
                Code::BrokerUnreachable,
                format!("the brokers at {servers} do not answer the client {}: {reason}", whose(set)),
                "Apache Kafka 2.8 or newer is needed, or one that is compatible with it",
            ),
        };
        Fault::new(place(operator, set), code, message, hint)
    })?;
    let findings = set.subjects.iter().map(|subject| {
        let Handler { tenant, name, .. } = subject.handler;
        ((tenant.name.clone(), name.clone()), judge::judge(subject, &view))
    });
    Ok(findings.collect())
}

/// Where the way to the brokers is written: with the tenant, if it has properties of its own.
fn place<'a>(operator: &'a Operator, set: &'a ClientSet<'_>) -> &'a Place {
    let own = set.subjects.iter().find_map(|subject| subject.handler.tenant.settings.properties.place());
    own.unwrap_or(&operator.kafka.place)
}

fn whose(set: &ClientSet<'_>) -> String {
    let mut tenants: Vec<&str> = set.subjects.iter().map(|subject| &*subject.handler.tenant.name).collect();
    tenants.dedup();
    format!("of tenant {}", tenants.join(", "))
}
