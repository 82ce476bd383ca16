//! From what was read to what runs: the operator's file and the deploy directory become tenants, handlers and the
//! host's settings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use callgate_core::limits::CallLimits;

use super::bound::{Handler, Tenant};
use super::host::HostSettings;
use crate::broker::{ClientSettings, PRODUCER_BUFFER};
use crate::config::{self, Memory, Operator};
use crate::consume::{Bounds, FirstStart};
use crate::invoke::{self, CacheKey, Callable, Compiler, Link, LogBudget, Reuse};
use crate::{deploy, machine};

/// Calls at once on one worker; each reserves address space.
const SLOTS: u32 = 128;
/// The most that a component's memory can be, and so the sandbox's ceiling.
const MAX_MEMORY: usize = 4 << 30;
/// Of the memory for calls, one part in so many is for instances that wait to be used again.
const IDLE_SHARE: usize = 16;
/// Where the machine does not tell how much memory it has.
const ASSUMED_MEMORY: u64 = 4 << 30;

/// The cache of compiled code, from the operator's settings.
pub fn code_cache(operator: &Operator) -> invoke::CacheSettings {
    let key = operator.deploy.cache_key.as_ref().map(|key| CacheKey::new(key.expose()));
    invoke::CacheSettings { folder: operator.deploy.cache.clone(), key }
}

/// The host's settings, from the operator's and the handlers that will run.
pub fn host(operator: &Operator, handlers: &[Arc<Handler>]) -> HostSettings {
    let total = match operator.limits.memory {
        Memory::Bytes(bytes) => bytes,
        Memory::Percent(percent) => machine::memory().unwrap_or(ASSUMED_MEMORY) / 100 * u64::from(percent),
    };
    // What is not held by buffers is there for calls, and at least for one of the largest.
    let tenants: BTreeMap<&str, &Tenant> =
        handlers.iter().map(|handler| (&*handler.tenant.name, &*handler.tenant)).collect();
    let buffers: usize = tenants.values().map(|tenant| tenant.bounds.bytes + PRODUCER_BUFFER).sum();
    let largest = tenants.values().map(|tenant| tenant.call.max_memory).max().unwrap_or(0);
    let free = usize::try_from(total).unwrap_or(usize::MAX).saturating_sub(buffers);
    let workers = if operator.limits.workers == 0 { machine::cores() } else { operator.limits.workers };
    let idle = free / IDLE_SHARE;
    HostSettings {
        workers,
        pollers: machine::cores(),
        memory: (free - idle).max(largest.next_multiple_of(1 << 20)),
        // Address space is reserved for as much as any tenant may have, and no more.
        invoke: invoke::Settings {
            slots: SLOTS,
            max_memory: largest.clamp(1 << 16, MAX_MEMORY),
            idle_memory: idle / workers,
        },
        instance_id: operator.kafka.instance_id.clone(),
        first_start: match operator.kafka.first_start {
            config::FirstStart::Earliest => FirstStart::Earliest,
            config::FirstStart::Latest => FirstStart::Latest,
        },
    }
}

/// Which kind of broker the clients speak to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brokers {
    /// Apache Kafka, or whatever keeps its protocol's promises.
    Real,
    /// The one in this process, which makes topics on demand.
    Embedded,
}

/// Makes handlers of those that were found; each tenant is made once.
pub struct Assembler<'a> {
    operator: &'a Operator,
    compiler: &'a Compiler,
    brokers: Brokers,
    tenants: BTreeMap<Arc<str>, (Arc<Tenant>, Arc<LogBudget>)>,
}

impl<'a> Assembler<'a> {
    /// For one reading of the operator's file.
    pub fn new(operator: &'a Operator, compiler: &'a Compiler, brokers: Brokers) -> Self {
        Self { operator, compiler, brokers, tenants: BTreeMap::new() }
    }

    /// The handler, compiled.
    ///
    /// # Errors
    /// Where its component cannot be read, or not be compiled.
    pub fn handler(&mut self, found: &deploy::Handler) -> anyhow::Result<Arc<Handler>> {
        let files = found.middleware.iter().chain([&found.component]);
        let chain = files.map(|file| self.link(file)).collect::<anyhow::Result<_>>()?;
        let (tenant, log) = self.tenant(&found.tenant);
        Ok(Arc::new(Handler {
            callable: Arc::new(Callable {
                tenant: tenant.name.clone(),
                handler: found.name.clone(),
                chain,
                max_next_calls: found.max_next_calls,
                env: found.env.clone(),
                log,
                reuse: Reuse::default(),
            }),
            tenant,
            name: found.name.clone(),
            group_id: found.group.to_string(),
            routes: found.routes.iter().map(|route| (route.topics.clone(), route.route.clone())).collect(),
        }))
    }

    fn link(&self, file: &deploy::ComponentFile) -> anyhow::Result<Link> {
        Ok(Link { name: file.name().clone(), artifact: Arc::new(self.compiler.load(&file.read()?)?) })
    }

    fn tenant(&mut self, tenant: &config::Tenant) -> (Arc<Tenant>, Arc<LogBudget>) {
        let (operator, brokers) = (self.operator, self.brokers);
        self.tenants
            .entry(tenant.name.clone())
            .or_insert_with(|| {
                let log = LogBudget::new(u64::try_from(tenant.settings.max_log).unwrap_or(u64::MAX));
                (Arc::new(resolved(operator, tenant, brokers)), Arc::new(log))
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
