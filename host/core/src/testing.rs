//! What the tests of several modules share.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::limits::RequestLimits;
use crate::order::Ordering;
use crate::record::{Coordinate, Header, OutgoingRecord, Record, Timestamp, TimestampKind};
use crate::retry::RetryPolicy;
use crate::route::{ClientErrors, Instances, Operation, Route, WithoutReplyTo};

/// The limits of a tenant that sets none.
pub(crate) const REQUEST_LIMITS: RequestLimits =
    RequestLimits { max_headers: 256, max_header_bytes: 64 << 10, max_body: 4 << 20 };

/// An operation whose parameters are headers.
pub(crate) fn operation(text: &str) -> Operation {
    Operation::parse(text, &BTreeMap::new()).expect("an operation")
}

/// A route with that operation and no more than it must have.
pub(crate) fn route(text: &str) -> Route {
    Route {
        operation: operation(text),
        tombstone: None,
        query: Vec::new(),
        reply_to: None,
        without_reply_to: WithoutReplyTo::Call,
        client_errors: ClientErrors::DeadLetter,
        ordering: Ordering::Partition,
        max_in_flight: 1,
        deadline: Duration::from_secs(5),
        retry: RetryPolicy { attempts: 3, backoff: Duration::from_millis(200), max_backoff: Duration::from_secs(30) },
        circuit_breaker: None,
        instances: Instances::Fresh,
    }
}

/// A plain record: key, value and timestamp, no headers.
pub(crate) fn record() -> Record {
    Record {
        coordinate: Coordinate { topic: "acme.orders".into(), partition: 3, offset: 42 },
        timestamp: Some(Timestamp { millis: 1_700_000_000_123, kind: TimestampKind::CreateTime }),
        key: Some(Bytes::from_static(b"k1")),
        value: Some(Bytes::from_static(b"{}")),
        headers: Vec::new(),
    }
}

/// The plain record with these headers.
pub(crate) fn record_with(headers: &[(&str, &[u8])]) -> Record {
    Record { headers: headers.iter().map(|(name, value)| header(name, value)).collect(), ..record() }
}

pub(crate) fn header(name: &str, value: &[u8]) -> Header {
    Header::new(Bytes::copy_from_slice(name.as_bytes()), Bytes::copy_from_slice(value))
}

pub(crate) fn null_header(name: &str) -> Header {
    Header { name: Bytes::copy_from_slice(name.as_bytes()), value: None }
}

/// The headers of a record that is to be produced, as text; null reads `<null>`.
pub(crate) fn shown(record: &OutgoingRecord) -> Vec<(String, String)> {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let shown = |header: &Header| (text(&header.name), header.value.as_ref().map_or("<null>".to_owned(), text));
    record.headers.iter().map(shown).collect()
}

/// The last value of that header of a record that is to be produced.
pub(crate) fn value_of<'a>(record: &'a OutgoingRecord, name: &str) -> Option<&'a [u8]> {
    crate::record::last(&record.headers, name)?.value.as_deref()
}
