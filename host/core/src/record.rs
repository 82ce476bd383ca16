//! A record as it came from a topic, and one that is to be produced.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// Where a record stands: topic, partition and offset name it for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Coordinate {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition, from 0.
    pub partition: i32,
    /// The offset within the partition.
    pub offset: i64,
}

impl fmt::Display for Coordinate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}@{}", self.topic, self.partition, self.offset)
    }
}

/// One header of a record. Kafka allows any bytes as a name, any bytes or null as a value, and repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name, mostly UTF-8 but not by promise.
    pub name: Bytes,
    /// The value; `None` is Kafka's null, which differs from empty.
    pub value: Option<Bytes>,
}

impl Header {
    /// A header with a value.
    pub fn new(name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { name: name.into(), value: Some(value.into()) }
    }

    /// Whether this is the header `name`; names of record headers are compared ignoring ASCII case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Finds the last header of that name: where one occurs more than once, the last one counts.
pub fn last<'a>(headers: &'a [Header], name: &str) -> Option<&'a Header> {
    headers.iter().rev().find(|header| header.is(name))
}

/// Who gave a record its timestamp (`message.timestamp.type` of its topic).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampKind {
    /// The producer.
    CreateTime,
    /// The broker.
    LogAppendTime,
}

/// A record's timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// Milliseconds since the Unix epoch.
    pub millis: i64,
    /// Who gave it.
    pub kind: TimestampKind,
}

/// A record as it was consumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub coordinate: Coordinate,
    /// Its timestamp; records of old message formats have none.
    pub timestamp: Option<Timestamp>,
    /// Its key; `None` is null.
    pub key: Option<Bytes>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Vec<Header>,
}

impl Record {
    /// Bytes that the record holds in memory: key, value and headers. What buffers are bounded by.
    pub fn size(&self) -> usize {
        size(&self.key, &self.value, &self.headers)
    }
}

/// A record that is to be produced: a reply, an error reply or a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingRecord {
    /// The topic to produce to.
    pub topic: Arc<str>,
    /// The partition, or `None` to let the key decide as Java's default partitioner does.
    pub partition: Option<i32>,
    /// Milliseconds since the Unix epoch; `None` is the time of producing.
    pub timestamp: Option<i64>,
    /// Its key; `None` is null.
    pub key: Option<Bytes>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Vec<Header>,
}

impl OutgoingRecord {
    /// Bytes of key, value and headers, without the protocol's own overhead.
    pub fn size(&self) -> usize {
        size(&self.key, &self.value, &self.headers)
    }

    /// Bytes of a record batch (message format v2) that holds this record alone and is not compressed: what a topic's
    /// `max.message.bytes` limits.
    pub fn batch_size(&self) -> usize {
        // The batch's header, and the record's attributes, timestamp delta and offset delta.
        const BATCH: usize = 61 + 3;
        let part = |part: &Option<Bytes>| part.as_ref().map_or(1, |bytes| varint_len(bytes.len()) + bytes.len());
        let header = |header: &Header| varint_len(header.name.len()) + header.name.len() + part(&header.value);
        let headers: usize = self.headers.iter().map(header).sum();
        let record = part(&self.key) + part(&self.value) + varint_len(self.headers.len()) + headers;
        BATCH + varint_len(record + 3) + record
    }
}

/// Bytes of a length as a zigzag varint.
fn varint_len(length: usize) -> usize {
    (usize::BITS - (length << 1 | 1).leading_zeros()).div_ceil(7) as usize
}

fn size(key: &Option<Bytes>, value: &Option<Bytes>, headers: &[Header]) -> usize {
    let bytes = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
    bytes(key) + bytes(value) + headers.iter().map(|header| header.name.len() + bytes(&header.value)).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::record_with;

    #[test]
    fn the_last_header_of_a_name_counts_whatever_its_case() {
        let record = record_with(&[("A", b"1"), ("b", b"2"), ("a", b"3")]);
        assert_eq!(last(&record.headers, "A").and_then(|header| header.value.as_deref()), Some(b"3".as_slice()));
        assert_eq!(last(&record.headers, "c"), None);
    }

    #[test]
    fn a_record_says_where_it_stands() {
        assert_eq!(record_with(&[]).coordinate.to_string(), "acme.orders-3@42");
    }

    /// Sizes as a broker counts them: field by field from the description of the message format.
    #[test]
    fn the_size_of_a_batch() {
        let mut record = OutgoingRecord {
            topic: "t".into(),
            partition: None,
            timestamp: None,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        assert_eq!(record.batch_size(), 61 + 1 + 3 + 1 + 1 + 1);
        record.key = Some(Bytes::from(vec![0; 63]));
        record.value = Some(Bytes::from(vec![0; 64]));
        record.headers = vec![Header::new("ab", "c"), Header { name: Bytes::from_static(b"d"), value: None }];
        let headers = 1 + (1 + 2 + 1 + 1) + (1 + 1 + 1);
        assert_eq!(record.batch_size(), 61 + 2 + 3 + (1 + 63) + (2 + 64) + headers);
        assert_eq!(record.size(), 63 + 64 + 2 + 1 + 1);
    }
}
