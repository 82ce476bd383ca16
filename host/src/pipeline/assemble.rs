//! From what was read to what runs: the operator's file and the deploy directory become tenants, handlers and the
//! host's settings.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use callgate_core::limits::CallLimits;

use super::bound::{Handler, Tenant};
use super::host::HostSettings;
use super::probation::Probation;
use super::probe::probe;
use crate::broker::ClientSettings;
use crate::config::{self, Fault, Memory, Operator};
use crate::consume::{Bounds, FirstStart};
use crate::deploy::ComponentFile;
use crate::invoke::{
    self, CacheKey, Callable, Compiler, Link, LogBudget, Network, Outbound, OutboundLimits, Reuse, Trial,
};
use crate::settle::Guarantee;
use crate::{deploy, machine};

/// Instances at once, all workers together. Each reserves 16 GiB of address space in each of up to four sandboxes,
/// and a process has 128 TiB.
const SLOTS: usize = 512;
/// Of those, what one worker has at least and at most.
const SLOTS_OF_WORKER: RangeInclusive<usize> = 64..=256;
/// The most that a component's memory can be, and so the sandbox's ceiling.
const MAX_MEMORY: usize = 4 << 30;
/// What the instances of one worker keep at most when they are not in use.
const MOST_WARM: usize = 512 << 20;
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
        invoke: invoke::Settings {
            slots: slots(workers),
            warm_memory: per_worker(total / 8, workers),
            idle_memory: per_worker(total / 16, workers),
            max_memory: MAX_MEMORY,
        },
        instance_id: operator.kafka.instance_id.clone(),
        guarantee: match operator.kafka.delivery {
            config::Delivery::AtLeastOnce => Guarantee::AtLeastOnce,
            config::Delivery::ExactlyOnce => Guarantee::ExactlyOnce { instance: operator.kafka.instance_id.clone() },
        },
        first_start: match operator.kafka.first_start {
            config::FirstStart::Earliest => FirstStart::Earliest,
            config::FirstStart::Latest => FirstStart::Latest,
        },
    }
}

fn slots(workers: usize) -> u32 {
    (SLOTS / workers).clamp(*SLOTS_OF_WORKER.start(), *SLOTS_OF_WORKER.end()) as u32
}

/// A worker's part of the memory that instances may keep when they are not in use.
fn per_worker(memory: u64, workers: usize) -> usize {
    usize::try_from(memory / workers as u64).map_or(MOST_WARM, |share| share.min(MOST_WARM))
}

/// Which kind of broker the clients speak to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brokers {
    /// Apache Kafka, or whatever keeps its protocol's promises.
    Real,
    /// The one in this process, which makes topics on demand.
    Embedded,
}

/// What all handlers of a tenant share.
#[derive(Clone)]
struct OfTenant {
    tenant: Arc<Tenant>,
    log: Arc<LogBudget>,
    outbound: Arc<Outbound>,
}

/// Why a version cannot be loaded.
pub(super) struct NotLoaded {
    /// What is wrong, where, and what to do.
    pub(super) fault: Fault,
    /// The host lacked something, which another attempt may find.
    pub(super) again: bool,
}

impl NotLoaded {
    fn of(component: &ComponentFile, reason: &str, again: bool) -> Self {
        let fault = if again { component.not_now(reason) } else { component.refused(reason) };
        Self { fault, again }
    }
}

/// Makes handlers of those that were found; each tenant is made once.
pub(super) struct Assembler {
    operator: Arc<Operator>,
    compiler: Arc<Compiler>,
    network: Network,
    brokers: Brokers,
    tenants: Mutex<BTreeMap<Arc<str>, OfTenant>>,
}

impl Assembler {
    /// For one reading of the operator's file.
    pub(super) fn new(operator: Arc<Operator>, compiler: Arc<Compiler>, network: Network, brokers: Brokers) -> Self {
        Self { operator, compiler, network, brokers, tenants: Mutex::default() }
    }

    /// For another reading.
    pub(super) fn of(&self, operator: &Arc<Operator>) -> Self {
        Self::new(operator.clone(), self.compiler.clone(), self.network.clone(), self.brokers)
    }

    /// The handler, compiled and tried, as long as it is `wanted`; `probation` watches its first records.
    ///
    /// # Errors
    /// What is wrong with it, or what the host lacks to find out.
    pub(super) fn handler(
        &self,
        found: &deploy::Handler,
        trial: &Trial,
        probation: Option<Probation>,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Arc<Handler>, NotLoaded> {
        let files: Vec<_> = found.components().collect();
        let chain = files.iter().map(|file| self.link(file, wanted)).collect::<Result<Vec<_>, _>>()?;
        let OfTenant { tenant, log, outbound } = self.tenant(&found.tenant);
        let callable = Arc::new(Callable {
            tenant: tenant.name.clone(),
            handler: found.name.clone(),
            chain,
            max_next_calls: found.max_next_calls,
            env: found.env.clone(),
            log,
            outbound,
            reuse: Reuse::default(),
        });
        trial.instantiate(&callable, &tenant.call).map_err(|(position, error)| {
            NotLoaded::of(files[position], &error.to_string(), !error.is_fault_of_component())
        })?;
        for route in &found.routes {
            probe(trial, &callable, &tenant, route).map_err(|(fault, again)| NotLoaded { fault, again })?;
        }
        Ok(Arc::new(Handler {
            callable,
            tenant,
            settings: found.tenant.clone(),
            name: found.name.clone(),
            version: found.version.clone(),
            group_id: found.group.to_string(),
            routes: found.routes.clone(),
            probation,
        }))
    }

    /// One component of the handler, compiled.
    fn link(&self, component: &ComponentFile, wanted: &dyn Fn() -> bool) -> Result<Link, NotLoaded> {
        // Whatever lies there now is found by the watch.
        let bytes = component.read().map_err(|error| NotLoaded::of(component, &error.to_string(), true))?;
        let loaded = self.compiler.load_while(&bytes, wanted);
        let artifact =
            loaded.map_err(|error| NotLoaded::of(component, &error.to_string(), !error.is_fault_of_component()))?;
        Ok(Link { name: component.name().clone(), artifact: Arc::new(artifact) })
    }

    fn tenant(&self, tenant: &config::Tenant) -> OfTenant {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants
            .entry(tenant.name.clone())
            .or_insert_with(|| {
                let log = LogBudget::new(u64::try_from(tenant.settings.max_log).unwrap_or(u64::MAX));
                let resolved = resolved(&self.operator, tenant, self.brokers);
                let limits = OutboundLimits::new(&resolved.call, resolved.max_in_flight);
                let outbound = Outbound::new(&tenant.name, &tenant.settings.outbound, limits, &self.network);
                OfTenant { tenant: Arc::new(resolved), log: Arc::new(log), outbound: Arc::new(outbound) }
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
