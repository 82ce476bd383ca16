//! What applies to the records of a topic: the tenant's rules, the handler's version, the route.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use callgate_core::dead_letter::{DeadLetterPolicy, takes_dead_letters};
use callgate_core::fair::Weight;
use callgate_core::limits::{CallLimits, RequestLimits};
use callgate_core::reply::ReplyPolicy;
use callgate_core::route::{Route, TopicList, TopicSelector};
use tokio::sync::Semaphore;

use super::activity::Activity;
use super::gate::Gate;
use super::probation::Probation;
use super::quota::Quota;
use crate::broker::ClientSettings;
use crate::config::{self, HandlerRoute};
use crate::consume::Bounds;
use crate::invoke::Callable;

/// A tenant's rules, as the operator wrote them.
#[derive(Debug)]
pub struct Tenant {
    /// Its name.
    pub name: Arc<str>,
    /// What its routes may consume: patterns match nothing else.
    pub topics: TopicList,
    /// How to reach the brokers, and as whom.
    pub client: ClientSettings,
    /// Whom its records may address, and how.
    pub reply: ReplyPolicy,
    /// Where its dead letters go, and what they say.
    pub dead_letter: DeadLetterPolicy,
    /// Whether a missing dead-letter topic is made.
    pub create_dead_letter_topic: bool,
    /// What a record may bring.
    pub request: RequestLimits,
    /// What a call may use; a route's deadline stands in place of the one here.
    pub call: CallLimits,
    /// Calls at once, all its handlers together.
    pub max_in_flight: usize,
    /// Its weight among the tenants that compete for the workers.
    pub share: Weight,
    /// Records in memory, all its groups together.
    pub bounds: Bounds,
}

/// The topics that no pattern of a tenant with these handlers may match.
pub(super) fn never_matched<'a>(handlers: impl Iterator<Item = &'a Arc<Handler>>) -> Arc<HashSet<Arc<str>>> {
    let routes = handlers.flat_map(|handler| &handler.routes);
    Arc::new(routes.filter_map(|HandlerRoute { route, .. }| route.reply_to.clone()).collect())
}

/// One version of a handler.
#[derive(Debug)]
pub struct Handler {
    /// Whose it is.
    pub tenant: Arc<Tenant>,
    /// What the operator's file said about the tenant when it was loaded.
    pub(super) settings: Arc<config::Tenant>,
    /// Its name.
    pub name: Arc<str>,
    /// `sha256:` and 64 hexadecimal digits over all that makes it what it is: components and manifest.
    pub version: Arc<str>,
    /// The consumer group that its offsets are kept in.
    pub group_id: String,
    /// Its component, ready to be called.
    pub callable: Arc<Callable>,
    /// Its routes, and the topics each gets.
    pub routes: Vec<HandlerRoute>,
    /// The watch over its first records, where it may be rolled back.
    pub probation: Option<Probation>,
}

impl fmt::Display for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant.name, self.name)
    }
}

/// A route bound to its handler: all that a record of one of its topics needs.
#[derive(Debug)]
pub struct Bound {
    /// The handler.
    pub handler: Arc<Handler>,
    /// The route.
    pub route: Arc<Route>,
    /// What is being done for the handler, all its routes together.
    pub activity: Arc<Activity>,
    pub(super) limits: CallLimits,
    // Calls at once: this route's, and its tenant's.
    pub(super) route_slots: Arc<Semaphore>,
    pub(super) quota: Arc<Quota>,
    /// The route's circuit breaker, if it has one.
    pub(super) gate: Option<Arc<Gate>>,
}

impl Bound {
    /// Whether a call would not have to wait for others of its route or tenant, or few of its tenant's wait by now.
    pub(super) fn has_room(&self) -> bool {
        let is_called_at_once = self.route_slots.available_permits() > 0 && self.quota.slots.available_permits() > 0;
        is_called_at_once || self.quota.takes_one_that_waits()
    }

    /// Whether its circuit breaker is open; `None` where it has none.
    pub fn has_open_breaker(&self) -> Option<bool> {
        self.gate.as_ref().map(|gate| gate.has_open_breaker())
    }

    fn new(
        handler: &Arc<Handler>,
        route: &Arc<Route>,
        activity: &Arc<Activity>,
        quota: &Arc<Quota>,
        before: Option<&Arc<Self>>,
    ) -> Self {
        // The calls in flight of the version before count as well, so that a swap does not double the bound.
        let same = before.filter(|before| before.route.max_in_flight == route.max_in_flight);
        // A new version has not failed yet.
        let unchanged = before.filter(|before| Arc::ptr_eq(&before.handler, handler));
        let gate = match unchanged {
            Some(before) => before.gate.clone(),
            None => route.circuit_breaker.map(|policy| Arc::new(Gate::new(policy))),
        };
        let limits = CallLimits { deadline: route.deadline, ..handler.tenant.call };
        Self {
            handler: handler.clone(),
            route: route.clone(),
            activity: activity.clone(),
            limits,
            route_slots: same
                .map_or_else(|| Arc::new(Semaphore::new(route.max_in_flight)), |before| before.route_slots.clone()),
            quota: quota.clone(),
            gate,
        }
    }
}

/// The routes of one consumer group, as they are now: a new version of a handler replaces the table, and each call looks
/// its route up anew.
#[derive(Debug)]
pub(super) struct Routes(ArcSwap<RouteTable>);

impl Routes {
    pub(super) fn new(table: RouteTable) -> Self {
        Self(ArcSwap::from_pointee(table))
    }

    pub(super) fn get(&self, topic: &str) -> Option<Arc<Bound>> {
        self.0.load().get(topic).cloned()
    }

    pub(super) fn table(&self) -> Arc<RouteTable> {
        self.0.load_full()
    }

    pub(super) fn replace(&self, table: RouteTable) {
        self.0.store(Arc::new(table));
    }
}

/// The table topic → route.
#[derive(Debug)]
pub(super) struct RouteTable {
    topics: HashMap<Arc<str>, Arc<Bound>>,
    patterns: Vec<(TopicSelector, Arc<Bound>)>,
    // The tenant's fixed reply topics: a pattern that matched them would go round in circles.
    never: Arc<HashSet<Arc<str>>>,
}

impl RouteTable {
    /// The table of these handlers; `before` is the one whose place it takes.
    pub(super) fn new<'a>(
        handlers: impl Iterator<Item = &'a Arc<Handler>>,
        never: &Arc<HashSet<Arc<str>>>,
        quota: &Arc<Quota>,
        before: Option<&Self>,
    ) -> Self {
        let mut table = Self { topics: HashMap::new(), patterns: Vec::new(), never: never.clone() };
        let activities = before.map(Self::activities).unwrap_or_default();
        for handler in handlers {
            let activity = activities.get(&*handler.name).map_or_else(Arc::default, |&known| known.clone());
            for HandlerRoute { topics: selector, route, .. } in &handler.routes {
                let known = before.and_then(|before| before.known(selector));
                let bound = Arc::new(Bound::new(handler, route, &activity, quota, known));
                match selector {
                    TopicSelector::Topic(topic) => {
                        table.topics.insert(topic.clone(), bound);
                    }
                    TopicSelector::Pattern { .. } => table.patterns.push((selector.clone(), bound)),
                }
            }
        }
        table
    }

    /// All routes.
    pub(super) fn bounds(&self) -> impl Iterator<Item = &Arc<Bound>> {
        self.topics.values().chain(self.patterns.iter().map(|(_, bound)| bound))
    }

    /// What is being done for each handler, by its name.
    fn activities(&self) -> HashMap<&str, &Arc<Activity>> {
        self.bounds().map(|bound| (&*bound.handler.name, &bound.activity)).collect()
    }

    /// The route with these same topics.
    fn known(&self, selector: &TopicSelector) -> Option<&Arc<Bound>> {
        match selector {
            TopicSelector::Topic(topic) => self.topics.get(topic),
            TopicSelector::Pattern { .. } => {
                let same = |(known, _): &&(TopicSelector, _)| known.to_string() == selector.to_string();
                self.patterns.iter().find(same).map(|(_, bound)| bound)
            }
        }
    }

    /// The route of a topic: one that names it, else the first pattern that matches it.
    fn get(&self, topic: &str) -> Option<&Arc<Bound>> {
        self.topics.get(topic).or_else(|| {
            let wanted = |(selector, bound): &&(TopicSelector, Arc<Bound>)| {
                let tenant = &bound.handler.tenant;
                selector.matches(topic)
                    && tenant.topics.allows(topic)
                    && !takes_dead_letters(topic, &tenant.dead_letter)
            };
            let (_, bound) = self.patterns.iter().find(wanted)?;
            (!self.never.contains(topic)).then_some(bound)
        })
    }

    /// Lets the records of all routes pass their circuit breakers.
    pub(super) fn open_gates(&self) {
        self.bounds().filter_map(|bound| bound.gate.as_ref()).for_each(|gate| gate.open());
    }

    /// The topics that are named.
    pub(super) fn named(&self) -> impl Iterator<Item = &Arc<str>> {
        self.topics.keys()
    }

    /// Whether some topics are only known by a pattern.
    pub(super) fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }
}
