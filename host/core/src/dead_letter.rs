//! The record that keeps what could not be processed (Dead Letter Channel), and says why.

use std::sync::Arc;

use bytes::Bytes;

use crate::failure::Failure;
use crate::record::{Header, OutgoingRecord, Record};

mod headers;
#[cfg(test)]
mod tests;

/// Which set of headers tells what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeadLetterHeaders {
    /// Callgate's own, `x-callgate-dlt-*`, all text.
    #[default]
    Callgate,
    /// Kafka Connect's, `__connect.errors.*`, all text.
    Connect,
    /// Spring for Apache Kafka's, `kafka_dlt-*`, numbers big-endian.
    Spring,
}

/// What a tenant's dead letters follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterPolicy {
    /// The topic; `None` is the source's name and `-dlt`.
    pub topic: Option<Arc<str>>,
    /// The set of headers.
    pub headers: DeadLetterHeaders,
    /// Keep the record's own timestamp. A topic's retention may then drop it on arrival.
    pub original_timestamp: bool,
    /// Headers whose values are replaced, compared ignoring ASCII case.
    pub redact: Vec<Arc<str>>,
}

/// Who gave up on the record.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetterContext<'a> {
    /// The consumer group.
    pub group: &'a str,
    /// The tenant's name.
    pub tenant: &'a str,
    /// The handler's name.
    pub handler: &'a str,
    /// The handler's own component: `sha256:` and 64 hexadecimal digits. A failure that names another one stands for
    /// itself.
    pub digest: &'a str,
    /// The calls that were made; 0 where the handler never saw the record.
    pub attempts: u32,
}

/// What stands in place of a redacted value.
const REDACTED: &[u8] = b"[redacted]";

/// The topic for the dead letters of a source topic.
pub fn dead_letter_topic(source: &str, policy: &DeadLetterPolicy) -> Arc<str> {
    policy.topic.clone().unwrap_or_else(|| format!("{source}-dlt").into())
}

/// Whether dead letters go to that topic, so that no pattern may take it for one of requests.
pub fn takes_dead_letters(topic: &str, policy: &DeadLetterPolicy) -> bool {
    match &policy.topic {
        Some(letters) => **letters == *topic,
        None => topic.strip_suffix("-dlt").is_some_and(|source| !source.is_empty()),
    }
}

/// The dead letter of a record: its key, value and headers, and after them one set of headers that tells what happened.
///
/// It goes to the same partition where the dead-letter topic has it, else where the key leads; `partitions` is their
/// number, if known. If it would be larger than `max_bytes` (of a batch of its own, what `max.message.bytes` limits),
/// the trace is shortened, then the message, and then added headers are left out, the last one first: what was
/// consumed once can be kept.
pub fn dead_letter(
    record: &Record,
    context: &DeadLetterContext<'_>,
    failure: &Failure,
    policy: &DeadLetterPolicy,
    partitions: Option<i32>,
    max_bytes: usize,
) -> OutgoingRecord {
    let added = match policy.headers {
        DeadLetterHeaders::Callgate => headers::callgate(record, context, failure),
        DeadLetterHeaders::Connect => headers::connect(record, context, failure),
        DeadLetterHeaders::Spring => headers::spring(record, context, failure),
    };
    let partition = record.coordinate.partition;
    let mut letter = OutgoingRecord {
        topic: dead_letter_topic(&record.coordinate.topic, policy),
        partition: partitions.filter(|&count| partition < count).map(|_| partition),
        timestamp: record.timestamp.filter(|_| policy.original_timestamp).map(|timestamp| timestamp.millis),
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record.headers.iter().map(|header| redacted(header, policy)).chain(added).collect(),
    };
    fit(&mut letter, record.headers.len(), max_bytes);
    letter
}

fn redacted(header: &Header, policy: &DeadLetterPolicy) -> Header {
    match policy.redact.iter().any(|name| header.is(name)) {
        true => Header::new(header.name.clone(), REDACTED),
        false => header.clone(),
    }
}

/// Makes the letter small enough, at the cost of what was added after its first `own` headers.
fn fit(letter: &mut OutgoingRecord, own: usize, max_bytes: usize) {
    for name in headers::SHORTENED {
        let excess = letter.batch_size().saturating_sub(max_bytes);
        let added = &mut letter.headers[own..];
        if excess > 0
            && let Some(text) = added.iter_mut().find(|header| header.is(name)).and_then(|header| header.value.as_mut())
        {
            *text = shortened(text, text.len().saturating_sub(excess));
        }
    }
    while letter.headers.len() > own && letter.batch_size() > max_bytes {
        letter.headers.pop();
    }
}

/// The first bytes of a text, at most `max` with the mark that some are missing, no character cut in half.
fn shortened(text: &Bytes, max: usize) -> Bytes {
    const MARK: &str = "…";
    let Some(room) = max.checked_sub(MARK.len()) else {
        return Bytes::new();
    };
    let kept = String::from_utf8_lossy(text);
    let kept = &kept[..kept.floor_char_boundary(room)];
    Bytes::from([kept, MARK].concat())
}
