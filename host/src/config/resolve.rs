//! Joins a manifest to its tenant: what the file asks for, within what the operator allows.

use std::sync::Arc;
use std::time::Duration;

use callgate_core::breaker::BreakerPolicy;
use callgate_core::dead_letter::takes_dead_letters;
use callgate_core::route::{ClientErrors, Instances, Route, TopicSelector, WithoutReplyTo, valid_topic_name};

use super::fault::{Code, Fault, Located, Place};
use super::manifest::{Manifest, RETRY, RouteManifest, default_operation};
use super::tenant::Tenant;
use super::units::Quantity;

/// The deadline of a route that names none, where its tenant allows as much.
const DEADLINE: Duration = Duration::from_secs(5);

/// The bound on calls of a route that names none, where its tenant allows as many.
const MAX_IN_FLIGHT: usize = 32;

/// A route of a handler, together with the topics it gets.
#[derive(Clone, Debug)]
pub struct HandlerRoute {
    /// Which topics.
    pub topics: TopicSelector,
    /// What applies to their records.
    pub route: Arc<Route>,
    /// Where the topics are written.
    pub place: Place,
}

impl HandlerRoute {
    /// What both routes would get, as far as that can be known without the brokers' list of topics: of two different
    /// patterns it cannot.
    pub(crate) fn conflict_with(&self, other: &Self) -> Option<String> {
        use TopicSelector::{Pattern, Topic};
        match (&self.topics, &other.topics) {
            (Topic(topic), selector) | (selector, Topic(topic)) => selector.matches(topic).then(|| topic.to_string()),
            (Pattern { regex: one, .. }, Pattern { regex: two, .. }) => {
                (one.as_str() == two.as_str()).then(|| "the topics of the same pattern".to_owned())
            }
        }
    }
}

/// The routes of a handler, and all that keeps it from its tenant.
pub(crate) fn resolve(manifest: &Manifest, handler: &str, tenant: &Tenant) -> (Vec<HandlerRoute>, Vec<Fault>) {
    let default = [default_route(handler, tenant, &manifest.place)];
    let written = manifest.routes.as_deref().unwrap_or(&default);
    let routes: Vec<HandlerRoute> = written.iter().map(|route| within(route, tenant)).collect();
    let mut faults: Vec<Fault> = written.iter().flat_map(|route| check(route, tenant)).collect();
    for (index, second) in routes.iter().enumerate() {
        faults.extend(routes[..index].iter().find_map(|first| second.conflict_with(first)).map(|topics| {
            let message = format!("another route of this handler gets {topics} as well");
            Fault::new(&second.place, Code::TopicConflict, message, "leave each topic to one route")
        }));
    }
    (routes, faults)
}

/// What a component without a manifest, or a manifest without routes, gets.
fn default_route(handler: &str, tenant: &Tenant, place: &Place) -> RouteManifest {
    let topic = format!("{}.{handler}", tenant.name);
    RouteManifest {
        topics: Located { value: TopicSelector::Topic(topic.into()), place: place.clone() },
        operation: default_operation(),
        tombstone: None,
        query: Vec::new(),
        reply_to: None,
        without_reply_to: WithoutReplyTo::default(),
        client_errors: ClientErrors::default(),
        ordering: Default::default(),
        max_in_flight: None,
        deadline: None,
        retry: RETRY,
        circuit_breaker: Some(BreakerPolicy::default()),
        instances: Instances::default(),
    }
}

/// All that a route asks for and its tenant does not allow.
fn check(route: &RouteManifest, tenant: &Tenant) -> Vec<Fault> {
    let topic = match &route.topics.value {
        TopicSelector::Topic(topic) => check_topic(topic, route, tenant),
        TopicSelector::Pattern { .. } => Vec::new(),
    };
    let limits = [check_reply_to(route, tenant), check_deadline(route, tenant), check_in_flight(route, tenant)];
    topic.into_iter().chain(limits.into_iter().flatten()).collect()
}

fn check_topic(topic: &str, route: &RouteManifest, tenant: &Tenant) -> Vec<Fault> {
    let place = &route.topics.place;
    let mut faults = Vec::new();
    if !tenant.topics.allows(topic) {
        let message = format!("the topic {topic} is not one that the tenant {} may consume", tenant.name);
        let hint = "use a topic within the tenant's `topics`, or ask the operator to add it";
        faults.push(Fault::new(place, Code::TopicNotAllowed, message, hint));
    }
    match &tenant.settings.dead_letter.topic {
        Some(dead_letters) if **dead_letters == *topic => {
            let message = format!("{topic} takes this route's own dead letters: what fails would come back for ever");
            faults.push(Fault::new(
                place,
                Code::TopicConflict,
                message,
                "use another topic, or another `dead_letter_topic` of the tenant",
            ));
        }
        // Of a topic that is none itself, its own fault says enough.
        None if valid_topic_name(topic) && !valid_topic_name(&format!("{topic}-dlt")) => {
            let message = format!("{topic}-dlt, where its dead letters go, is too long for the name of a topic");
            faults.push(Fault::new(
                place,
                Code::InvalidTopic,
                message,
                "use a shorter topic, or set `dead_letter_topic` of the tenant",
            ));
        }
        _ => {}
    }
    faults
}

fn check_reply_to(route: &RouteManifest, tenant: &Tenant) -> Option<Fault> {
    let Located { value: topic, place } = route.reply_to.as_ref()?;
    let (message, hint) = if !tenant.reply_topics.allows(topic) {
        (
            format!("{topic} is not one that the tenant {} may reply to", tenant.name),
            "use a topic within the tenant's `reply_topics`, or ask the operator to add it",
        )
    } else if matches!(&route.topics.value, TopicSelector::Topic(own) if own == topic) {
        (
            format!("{topic} is the topic that the route consumes: each reply would be a new request"),
            "reply to another topic",
        )
    } else if takes_dead_letters(topic, &tenant.settings.dead_letter) {
        (format!("{topic} is a topic of dead letters, which only the host writes"), "reply to another topic")
    } else {
        return None;
    };
    Some(Fault::new(place, Code::ReplyTopicNotAllowed, message, hint))
}

fn check_deadline(route: &RouteManifest, tenant: &Tenant) -> Option<Fault> {
    let Located { value, place } = route.deadline.as_ref()?;
    let most = tenant.settings.max_deadline;
    let message = || format!("`deadline` is {}, and the tenant's `max_deadline` {}", value.show(), most.show());
    (*value > most).then(|| over_limit(place, message()))
}

fn check_in_flight(route: &RouteManifest, tenant: &Tenant) -> Option<Fault> {
    let Located { value, place } = route.max_in_flight.as_ref()?;
    let most = tenant.settings.max_in_flight;
    (*value > most)
        .then(|| over_limit(place, format!("`max_in_flight` is {value}, and the tenant's {most} for all its handlers")))
}

fn over_limit(place: &Place, message: String) -> Fault {
    Fault::new(place, Code::OverLimit, message, "lower it, or ask the operator to raise the tenant's limit")
}

fn within(route: &RouteManifest, tenant: &Tenant) -> HandlerRoute {
    let settings = &tenant.settings;
    HandlerRoute {
        topics: route.topics.value.clone(),
        place: route.topics.place.clone(),
        route: Arc::new(Route {
            operation: route.operation.clone(),
            tombstone: route.tombstone.clone(),
            query: route.query.clone(),
            reply_to: route.reply_to.as_ref().map(|topic| topic.value.clone()),
            without_reply_to: route.without_reply_to,
            client_errors: route.client_errors,
            ordering: route.ordering,
            max_in_flight: route
                .max_in_flight
                .as_ref()
                .map_or(MAX_IN_FLIGHT.min(settings.max_in_flight), |most| most.value),
            deadline: route.deadline.as_ref().map_or(DEADLINE.min(settings.max_deadline), |deadline| deadline.value),
            retry: route.retry,
            circuit_breaker: route.circuit_breaker,
            instances: route.instances,
        }),
    }
}
