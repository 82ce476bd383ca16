//! Counters and histograms in Prometheus' text format. Labels come from configuration only, never from records.

mod labels;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use callgate_core::stop::Stop;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use self::labels::{
    CallLabels, EndLabels, GroupLabels, HandlerLabels, OutboundLabels, OutcomeLabels, RefusedLabels, RouteLabels,
    StopLabels, TransactionLabels, VersionLabels,
};
use crate::invoke::OutboundCount;
use crate::pipeline::{Bound, Ended, GroupView, Observer, Overview};
use crate::settle::{End, TransactionEnd};

type Histograms = Family<HandlerLabels, Histogram, fn() -> Histogram>;

/// The host's metrics: an [`Observer`] of the pipeline, and a page for Prometheus.
pub struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    call_seconds: Histograms,
    ends: Family<EndLabels, Counter>,
    record_seconds: Histograms,
    reuse_given_up: Family<HandlerLabels, Counter>,
    assigned: Family<GroupLabels, Gauge>,
    stopped: Family<StopLabels, Gauge>,
    held: Family<GroupLabels, Gauge>,
    lag: Family<GroupLabels, Gauge>,
    worst_lag: Family<GroupLabels, Gauge>,
    unstable: Family<GroupLabels, Gauge>,
    in_flight: Family<HandlerLabels, Gauge>,
    retries: Family<HandlerLabels, Gauge>,
    open_breakers: Family<RouteLabels, Gauge>,
    rebalances: Family<GroupLabels, Counter>,
    failed_commits: Family<GroupLabels, Counter>,
    outbound: Family<OutboundLabels, Counter>,
    transactions: Family<TransactionLabels, Counter>,
    versions: Family<VersionLabels, Gauge>,
    refused: Family<RefusedLabels, Gauge>,
    deployments: Family<OutcomeLabels, Counter>,
    directory_alert: Gauge,
    // By tenant and handler, so that a record needs no label to be built.
    handlers: RwLock<ByHandler>,
}

type ByHandler = HashMap<Arc<str>, HashMap<Arc<str>, Arc<HandlerMetrics>>>;

/// One handler's, with the labels resolved.
struct HandlerMetrics {
    labels: HandlerLabels,
    successful_calls: Counter,
    call_seconds: Histogram,
    record_seconds: Histogram,
    replied: Counter,
    done: Counter,
}

fn number(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// From 100 µs to about 50 s.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 20))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("callgate");
        let (calls, ends) = (Family::default(), Family::default());
        let call_seconds: Histograms = Family::new_with_constructor(seconds);
        let record_seconds: Histograms = Family::new_with_constructor(seconds);
        registry.register(
            "calls",
            "Calls of handlers, by the class of the status or the reason of the failure",
            calls.clone(),
        );
        registry.register_with_unit(
            "call_duration",
            "From the beginning of a call to its end",
            Unit::Seconds,
            call_seconds.clone(),
        );
        registry.register("records", "Records that have ended, by how and why", ends.clone());
        registry.register_with_unit(
            "record_duration",
            "From a record's turn in its lane to the acknowledgement of its end",
            Unit::Seconds,
            record_seconds.clone(),
        );
        let reuse_given_up = Family::default();
        registry.register(
            "reuse_given_up",
            "Versions of a handler whose instances are not reused any more, since fresh ones answered what they could not",
            reuse_given_up.clone(),
        );
        let (rebalances, failed_commits) = (Family::default(), Family::default());
        registry.register("rebalances", "Rebalances since the start", rebalances.clone());
        registry.register("commits_failed", "Commits of offsets that the broker did not take", failed_commits.clone());
        let transactions = Family::default();
        registry.register("transactions", "Transactions that have ended, by how", transactions.clone());
        let (versions, refused, deployments) = (Family::default(), Family::default(), Family::default());
        let directory_alert = Gauge::default();
        registry.register("handler_version", "The version of each handler that runs", versions.clone());
        registry.register(
            "handler_refused",
            "Handlers whose files in the deploy directory do not run, by the code of what is wrong; /readyz and the log \
             say more",
            refused.clone(),
        );
        registry.register(
            "deployments",
            "Versions that began to run, were refused or rolled back",
            deployments.clone(),
        );
        registry.register(
            "deploy_directory_alert",
            "1 while the deploy directory has vanished, or has lost so many handlers that nobody can mean it",
            directory_alert.clone(),
        );
        let outbound = Family::default();
        registry.register(
            "outbound_requests",
            "Outgoing requests of handlers, by the class of the status or why there was no response",
            outbound.clone(),
        );
        let stopped = Family::default();
        registry.register(
            "partitions_stopped",
            "Partitions that take in nothing more, by why; /readyz says more",
            stopped.clone(),
        );
        let (in_flight, retries, open_breakers) = (Family::default(), Family::default(), Family::default());
        registry.register("calls_in_flight", "Calls of handlers that have begun and not ended", in_flight.clone());
        registry.register("retries_waiting", "Records that wait for their next attempt", retries.clone());
        registry.register(
            "circuit_breaker_open",
            "1 while the circuit breaker of a route is open or tries a few records, 0 while it is closed",
            open_breakers.clone(),
        );
        let mut gauge = |name, help| {
            let family = Family::<GroupLabels, Gauge>::default();
            registry.register(name, help, family.clone());
            family
        };
        Self {
            assigned: gauge("partitions_assigned", "Partitions being polled"),
            stopped,
            held: gauge("records_held", "Records in memory, waiting or being worked on"),
            lag: gauge("lag", "Offsets between what has ended and what can be read, of all assigned partitions"),
            worst_lag: gauge("lag_of_worst_partition", "The same of the partition that is farthest behind"),
            unstable: gauge(
                "last_stable_offset_lag",
                "Offsets between last stable offset and high watermark: what no reader sees before a transaction ends",
            ),
            in_flight,
            retries,
            open_breakers,
            rebalances,
            failed_commits,
            outbound,
            transactions,
            versions,
            refused,
            deployments,
            directory_alert,
            registry,
            calls,
            call_seconds,
            ends,
            record_seconds,
            reuse_given_up,
            handlers: RwLock::default(),
        }
    }
}

impl Metrics {
    /// The page, with what runs and the counts of outgoing requests as they are now.
    ///
    /// # Errors
    /// Never in practice: the text is written to memory.
    pub fn page(&self, overview: &Overview, outbound: &[OutboundCount]) -> Result<String, fmt::Error> {
        self.take_groups(overview);
        self.take_versions(overview);
        self.take_outbound(outbound);
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry)?;
        Ok(page)
    }

    fn take_groups(&self, overview: &Overview) {
        // Of a group that is gone, only what it has counted stays.
        for gauges in [&self.assigned, &self.held, &self.lag, &self.worst_lag, &self.unstable] {
            gauges.clear();
        }
        self.stopped.clear();
        self.in_flight.clear();
        self.retries.clear();
        self.open_breakers.clear();
        for group in overview.groups().iter() {
            self.take_routes(group);
            let labels = GroupLabels { group: group.status.group_id.clone() };
            let now = group.status.snapshot();
            self.assigned.get_or_create(&labels).set(number(now.assigned));
            for (_, Stop { cause, .. }) in &now.stopped {
                let labels = StopLabels { group: labels.group.clone(), reason: cause.as_str() };
                self.stopped.get_or_create(&labels).inc();
            }
            self.held.get_or_create(&labels).set(number(now.held));
            if let Some(lag) = now.lag {
                self.lag.get_or_create(&labels).set(number(lag.records));
                self.worst_lag.get_or_create(&labels).set(number(lag.worst));
                self.unstable.get_or_create(&labels).set(number(lag.unstable));
            }
            self.rebalances.get_or_create(&labels).inner().store(now.rebalances, Ordering::Relaxed);
            self.failed_commits.get_or_create(&labels).inner().store(now.failed_commits, Ordering::Relaxed);
        }
    }

    fn take_routes(&self, group: &GroupView) {
        for bound in group.routes() {
            let (tenant, handler) = (bound.handler.tenant.name.to_string(), bound.handler.name.to_string());
            let labels = HandlerLabels { tenant: tenant.clone(), handler: handler.clone() };
            self.in_flight.get_or_create(&labels).set(number(bound.activity.calls()));
            self.retries.get_or_create(&labels).set(number(bound.activity.retries_waiting()));
            if let Some(is_open) = bound.has_open_breaker() {
                let labels = RouteLabels { tenant, handler, operation: bound.route.operation.to_string() };
                // Several routes of a handler may have one operation.
                let gauge = self.open_breakers.get_or_create_owned(&labels);
                gauge.set(gauge.get().max(i64::from(is_open)));
            }
        }
    }

    fn take_outbound(&self, outbound: &[OutboundCount]) {
        for OutboundCount { tenant, outcome, requests } in outbound {
            let labels = OutboundLabels { tenant: tenant.to_string(), outcome };
            self.outbound.get_or_create(&labels).inner().store(*requests, Ordering::Relaxed);
        }
    }

    fn take_versions(&self, overview: &Overview) {
        self.versions.clear();
        self.refused.clear();
        for status in overview.handlers().iter() {
            let (tenant, handler) = (status.name.tenant.to_string(), status.name.handler.to_string());
            if let Some((version, digest)) = &status.running {
                let (version, digest) = (version.to_string(), digest.to_string());
                let labels = VersionLabels { tenant: tenant.clone(), handler: handler.clone(), version, digest };
                self.versions.get_or_create(&labels).set(1);
            }
            if let Some(refused) = &status.refused {
                self.refused.get_or_create(&RefusedLabels { tenant, handler, code: refused.code }).set(1);
            }
        }
        for (outcome, count) in
            [("deployed", &overview.deployed), ("refused", &overview.refused), ("rolled-back", &overview.rolled_back)]
        {
            let counter = self.deployments.get_or_create(&OutcomeLabels { outcome });
            counter.inner().store(count.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.directory_alert.set(i64::from(!overview.directory_alerts().is_empty()));
    }

    fn handler(&self, bound: &Bound) -> Arc<HandlerMetrics> {
        let (tenant, handler) = (&bound.handler.tenant.name, &bound.handler.name);
        let known = self.handlers.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(tenant).and_then(|handlers| handlers.get(handler)) {
            return known.clone();
        }
        drop(known);
        let labels = HandlerLabels { tenant: tenant.to_string(), handler: handler.to_string() };
        let made = Arc::new(HandlerMetrics {
            successful_calls: self.calls(&labels, "2xx"),
            call_seconds: self.call_seconds.get_or_create(&labels).clone(),
            record_seconds: self.record_seconds.get_or_create(&labels).clone(),
            replied: self.end(&labels, "reply", ""),
            done: self.end(&labels, "done", ""),
            labels,
        });
        let mut handlers = self.handlers.write().unwrap_or_else(PoisonError::into_inner);
        handlers.entry(tenant.clone()).or_default().insert(handler.clone(), made.clone());
        made
    }

    fn calls(&self, labels: &HandlerLabels, outcome: &'static str) -> Counter {
        let HandlerLabels { tenant, handler } = labels.clone();
        self.calls.get_or_create(&CallLabels { tenant, handler, outcome }).clone()
    }

    fn end(&self, labels: &HandlerLabels, end: &'static str, reason: &'static str) -> Counter {
        let HandlerLabels { tenant, handler } = labels.clone();
        self.ends.get_or_create(&EndLabels { tenant, handler, end, reason }).clone()
    }
}

impl Observer for Metrics {
    fn called(&self, bound: &Bound, outcome: Result<u16, &'static str>, took: Duration) {
        let known = self.handler(bound);
        known.call_seconds.observe(took.as_secs_f64());
        match outcome {
            Ok(200..=299) => known.successful_calls.inc(),
            Ok(300..=399) => self.calls(&known.labels, "3xx").inc(),
            Ok(400..=499) => self.calls(&known.labels, "4xx").inc(),
            Ok(_) => self.calls(&known.labels, "5xx").inc(),
            Err(reason) => self.calls(&known.labels, reason).inc(),
        };
    }

    fn gave_up_reuse(&self, bound: &Bound) {
        self.reuse_given_up.get_or_create(&self.handler(bound).labels).inc();
    }

    fn ended(&self, ended: &Ended<'_>) {
        let known = self.handler(ended.bound);
        known.record_seconds.observe(ended.took.as_secs_f64());
        match ended.end {
            End::Replied => known.replied.inc(),
            End::Done => known.done.inc(),
            End::DeadLettered { reason, .. } => self.end(&known.labels, "dead-letter", reason.as_str()).inc(),
        };
    }

    fn transaction_ended(&self, group_id: &str, end: TransactionEnd) {
        let end = match end {
            TransactionEnd::Committed => "committed",
            TransactionEnd::Aborted => "aborted",
            TransactionEnd::InDoubt => "in-doubt",
        };
        self.transactions.get_or_create(&TransactionLabels { group: group_id.to_owned(), end }).inc();
    }
}
