//! What is called with: a record that orders a coffee, and the route to the café's handler.

use std::collections::BTreeMap;
use std::time::Duration;

use callgate_core::limits::RequestLimits;
use callgate_core::order::Ordering;
use callgate_core::record::{Coordinate, Header, Record, Timestamp, TimestampKind};
use callgate_core::retry::RetryPolicy;
use callgate_core::route::{Binding, ClientErrors, Instances, Operation, Route, WithoutReplyTo};

use super::order::order;

/// A tenant's, as they are when the operator sets none.
pub(crate) const REQUEST_LIMITS: RequestLimits =
    RequestLimits { max_headers: 256, max_header_bytes: 64 << 10, max_body: 4 << 20 };
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// An order, with a return address.
pub(crate) fn record(bytes: usize) -> Record {
    Record {
        coordinate: Coordinate { topic: "cafe.coffee".into(), partition: 3, offset: 123_456 },
        timestamp: Some(Timestamp { millis: 1_700_000_000_000, kind: TimestampKind::CreateTime }),
        key: Some("table-17".into()),
        value: Some(order(bytes).into()),
        headers: vec![
            Header::new("content-type", "application/json"),
            Header::new("reply-to", "cafe.replies"),
            Header::new("correlation-id", "5f0c3a527c0b4f3e9a1d0d3b1b1c2a10"),
        ],
    }
}

/// The route of the café's handler.
pub(crate) fn route() -> Route {
    let bindings = BTreeMap::from([("table".to_owned(), Binding::Key)]);
    Route {
        operation: Operation::parse("POST /tables/{table}/orders", &bindings).expect("an operation"),
        tombstone: None,
        query: Vec::new(),
        reply_to: None,
        without_reply_to: WithoutReplyTo::Call,
        client_errors: ClientErrors::DeadLetter,
        ordering: Ordering::Partition,
        max_in_flight: 32,
        deadline: DEADLINE,
        retry: RetryPolicy { attempts: 3, backoff: Duration::from_millis(200), max_backoff: Duration::from_secs(30) },
        circuit_breaker: None,
        instances: Instances::Fresh,
    }
}
