//! From what was read to what runs: the operator's file and the deploy directory become tenants, handlers and the
//! host's settings.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use callgate_core::limits::CallLimits;

use super::bound::{Handler, Tenant};
use super::host::HostSettings;
use super::loader::Loaded;
use super::overview::Refused;
use super::probation::Probation;
use crate::broker::ClientSettings;
use crate::config::{self, Code, Fault, Memory, Operator, Place};
use crate::consume::{Bounds, FirstStart};
use crate::deploy::ComponentFile;
use crate::invoke::{self, CacheKey, Callable, Compiler, Link, LogBudget};
use crate::{deploy, machine};

/// Calls at once on one worker; each reserves address space.
const SLOTS: u32 = 128;
/// The most that a component's memory can be, and so the sandbox's ceiling.
const MAX_MEMORY: usize = 4 << 30;
/// Where the machine does not tell how much memory it has.
const ASSUMED_MEMORY: u64 = 4 << 30;

/// The cache of compiled code, from the operator's settings.
pub fn code_cache(operator: &Operator) -> invoke::CacheSettings {
    let key = operator.deploy.cache_key.as_ref().map(|key| CacheKey::new(key.expose()));
    invoke::CacheSettings { folder: operator.deploy.cache.clone(), key }
}

/// The host's settings, from the operator's.
pub fn host(operator: &Operator) -> HostSettings {
    let total = match operator.limits.memory {
        Memory::Bytes(bytes) => bytes,
        Memory::Percent(percent) => machine::memory().unwrap_or(ASSUMED_MEMORY) / 100 * u64::from(percent),
    };
    let workers = if operator.limits.workers == 0 { machine::cores() } else { operator.limits.workers };
    HostSettings {
        workers,
        pollers: machine::cores(),
        memory: total,
        invoke: invoke::Settings { slots: SLOTS, warm_slots: warm_slots(total, workers), max_memory: MAX_MEMORY },
        instance_id: operator.kafka.instance_id.clone(),
        first_start: match operator.kafka.first_start {
            config::FirstStart::Earliest => FirstStart::Earliest,
            config::FirstStart::Latest => FirstStart::Latest,
        },
    }
}

/// How many instances each worker keeps warm: all of them, within an eighth of the host's memory.
fn warm_slots(memory: u64, workers: usize) -> u32 {
    let affordable = memory / 8 / (workers * invoke::WARM_BYTES) as u64;
    affordable.clamp(1, SLOTS.into()) as u32
}

/// Which kind of broker the clients speak to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brokers {
    /// Apache Kafka, or whatever keeps its protocol's promises.
    Real,
    /// The one in this process, which makes topics on demand.
    Embedded,
}

type Tenants = BTreeMap<Arc<str>, (Arc<Tenant>, Arc<LogBudget>)>;

/// Makes handlers of those that were found; each tenant is made once.
pub(super) struct Assembler {
    operator: Arc<Operator>,
    compiler: Arc<Compiler>,
    brokers: Brokers,
    tenants: Mutex<Tenants>,
}

impl Assembler {
    /// For one reading of the operator's file.
    pub(super) fn new(operator: Arc<Operator>, compiler: Arc<Compiler>, brokers: Brokers) -> Self {
        Self { operator, compiler, brokers, tenants: Mutex::default() }
    }

    /// For another reading.
    pub(super) fn of(&self, operator: &Arc<Operator>) -> Self {
        Self::new(operator.clone(), self.compiler.clone(), self.brokers)
    }

    /// The handler, compiled; `probation` watches its first records.
    pub(super) fn handler(&self, found: &deploy::Handler, probation: Option<Probation>) -> Loaded {
        let link = match self.link(&found.component) {
            Ok(link) => link,
            Err(ended) => return ended,
        };
        let (tenant, log) = self.tenant(&found.tenant);
        Loaded::Ready(Arc::new(Handler {
            callable: Arc::new(Callable {
                tenant: tenant.name.clone(),
                handler: found.name.clone(),
                chain: vec![link],
                max_next_calls: 1,
                env: found.env.clone(),
                log,
            }),
            tenant,
            name: found.name.clone(),
            version: found.version.clone(),
            group_id: found.group.to_string(),
            routes: found.routes.iter().map(|route| (route.topics.clone(), route.route.clone())).collect(),
            probation,
        }))
    }

    /// One component of the handler, compiled.
    fn link(&self, component: &ComponentFile) -> Result<Link, Loaded> {
        let place = Place::File(component.path.to_string_lossy().into());
        let refused = |fault: Fault| Refused { code: fault.code.as_str(), sentence: fault.to_string() };
        let bytes = component.read().map_err(|error| {
            let message = format!("the component cannot be read: {error}");
            let hint = "it is tried again; write components beside and rename them";
            Loaded::NotNow(refused(Fault::new(&place, Code::ComponentMissing, message, hint)))
        })?;
        let artifact = self.compiler.load(&bytes).map_err(|error| {
            let hint = "deploy a component that compiles; the version before goes on";
            let fault = refused(Fault::new(&place, Code::ComponentRefused, error.to_string(), hint));
            if error.is_fault_of_component() { Loaded::Refused(fault) } else { Loaded::NotNow(fault) }
        })?;
        Ok(Link { name: component.name(), artifact: Arc::new(artifact) })
    }

    fn tenant(&self, tenant: &config::Tenant) -> (Arc<Tenant>, Arc<LogBudget>) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants
            .entry(tenant.name.clone())
            .or_insert_with(|| {
                let log = LogBudget::new(u64::try_from(tenant.settings.max_log).unwrap_or(u64::MAX));
                (Arc::new(resolved(&self.operator, tenant, self.brokers)), Arc::new(log))
            })
            .clone()
    }
}

/// How a tenant reaches the brokers: as the operator says, with its own properties in front.
pub fn client_settings(operator: &Operator, tenant: &config::Tenant, brokers: Brokers) -> ClientSettings {
    let properties = operator.kafka.properties.overlaid_with(&tenant.settings.properties);
    ClientSettings {
        bootstrap_servers: operator.kafka.bootstrap_servers.clone(),
        properties: properties.iter().map(|(name, value)| (name.to_owned(), value.expose().to_owned())).collect(),
        embedded: brokers == Brokers::Embedded,
    }
}

fn resolved(operator: &Operator, tenant: &config::Tenant, brokers: Brokers) -> Tenant {
    let settings = &tenant.settings;
    Tenant {
        name: tenant.name.clone(),
        topics: tenant.topics.clone(),
        client: client_settings(operator, tenant, brokers),
        reply: tenant.reply.clone(),
        dead_letter: settings.dead_letter.clone(),
        create_dead_letter_topic: settings.create_dead_letter_topic,
        request: settings.request,
        call: CallLimits {
            deadline: settings.max_deadline,
            patience: Duration::ZERO,
            max_cpu: settings.max_cpu,
            max_memory: settings.max_memory,
            max_request_body: settings.request.max_body,
            max_response_body: settings.max_response_body,
            max_headers: settings.request.max_headers,
            max_header_bytes: settings.request.max_header_bytes,
        },
        max_in_flight: settings.max_in_flight,
        share: settings.share,
        bounds: Bounds { records: settings.max_buffered_records, bytes: settings.max_buffered_bytes },
    }
}
