//! What a version is asked to find out whether its instances bear being used again.

use std::sync::Arc;

use bytes::Bytes;
use callgate_core::failure::Failure;
use callgate_core::limits::{CallLimits, RequestLimits};
use callgate_core::record::{Coordinate, Header, Record};
use callgate_core::request::{RequestScope, to_request};
use callgate_core::route::{Binding, Instances, Route, TopicSelector};
use http::Request;

use super::bound::Tenant;
use crate::config::{Code, Fault, HandlerRoute};
use crate::invoke::{Callable, Probe, Trial, TrialError};

/// Stands for every value that a record would bring.
const PLACEHOLDER: &str = "probe";

/// Tries a route that asks for reuse.
///
/// # Errors
/// Where the version does not bear it, and whether another attempt may end otherwise.
pub(super) fn probe(
    trial: &Trial,
    callable: &Callable,
    tenant: &Tenant,
    HandlerRoute { topics, route, place }: &HandlerRoute,
) -> Result<(), (Fault, bool)> {
    if route.instances == Instances::Fresh {
        return Ok(());
    }
    let limits = CallLimits { deadline: route.deadline, ..tenant.call };
    let probed = match request(topics, route, &callable.handler, &tenant.request) {
        Ok(request) => trial.reuse(callable, &limits, || request.clone()),
        Err(failure) => Ok(Probe::Inconclusive(failure.message)),
    };
    match probed {
        Ok(Probe::Passed) => Ok(()),
        Ok(Probe::Inconclusive(reason)) => {
            tracing::warn!(
                target: "callgate::deploy", code = "run.reuse-unproven", tenant = %callable.tenant,
                handler = %callable.handler, route = %place, reason,
                "whether instances of the handler bear being used again could not be found out: it did not answer what \
                 was made up for it. They are used again, and watched"
            );
            Ok(())
        }
        Err(error) => {
            let message = match &error {
                TrialError::Refused(sentence) => {
                    format!("`instances` asks for reuse, and the handler does not bear it: {sentence}")
                }
                TrialError::NotNow(_) => error.to_string(),
            };
            let hint = "write `instances = \"fresh\"`, or mend what the handler keeps from one call to the next";
            Err((Fault::new(place, Code::ComponentRefused, message, hint), !error.is_fault_of_component()))
        }
    }
}

/// The route's operation with a body of empty JSON, and a header that says what it is.
fn request(
    topics: &TopicSelector,
    route: &Route,
    handler: &str,
    limits: &RequestLimits,
) -> Result<Request<Bytes>, Failure> {
    let record = record(topics, route);
    to_request(&record, route, &RequestScope { handler, attempt: 1, limits, span: None })
}

fn record(topics: &TopicSelector, route: &Route) -> Record {
    let topic: Arc<str> = match topics {
        TopicSelector::Topic(topic) => topic.clone(),
        TopicSelector::Pattern { .. } => PLACEHOLDER.into(),
    };
    let bindings = route.operation.bindings().chain(route.query.iter().map(|(_, binding)| binding));
    let named = bindings.filter_map(|binding| match binding {
        Binding::Header(name) => Some(Header::new(name.to_string(), PLACEHOLDER)),
        Binding::Key => None,
    });
    Record {
        coordinate: Coordinate { topic, partition: 0, offset: 0 },
        timestamp: None,
        key: Some(Bytes::from_static(PLACEHOLDER.as_bytes())),
        value: Some(Bytes::from_static(b"{}")),
        headers: named
            .chain([Header::new("content-type", "application/json"), Header::new("x-callgate-probe", "1")])
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use callgate_core::retry::RetryPolicy;
    use callgate_core::route::{ClientErrors, Operation, WithoutReplyTo};

    use super::*;

    #[test]
    fn a_request_has_all_that_the_route_wants_of_a_record() {
        let bindings = BTreeMap::from([("line".to_owned(), Binding::Key)]);
        let route = Route {
            operation: Operation::parse("PUT /orders/{id}/{line}", &bindings).expect("an operation"),
            tombstone: None,
            query: vec![("verbose".to_owned(), Binding::Header("Verbose".into()))],
            reply_to: None,
            without_reply_to: WithoutReplyTo::default(),
            client_errors: ClientErrors::default(),
            ordering: Default::default(),
            max_in_flight: 1,
            deadline: Duration::from_secs(1),
            retry: RetryPolicy { attempts: 1, backoff: Duration::ZERO, max_backoff: Duration::ZERO },
            circuit_breaker: None,
            instances: Instances::Reuse { records: 2 },
        };
        let limits = RequestLimits { max_headers: 10, max_header_bytes: 1000, max_body: 10 };
        let topics = TopicSelector::Topic("acme.orders".into());
        let request = request(&topics, &route, "orders", &limits).expect("a request");
        assert_eq!(request.method(), "PUT");
        assert_eq!(request.uri(), "http://orders/orders/probe/probe?verbose=probe");
        assert_eq!(request.headers()["x-callgate-probe"], "1");
        assert_eq!(request.headers()["x-kafka-topic"], "acme.orders");
        assert_eq!(request.body(), "{}");
    }
}
