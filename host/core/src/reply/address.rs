//! The Return Address: who wants the answer, and whether that one may be answered.

use std::fmt;
use std::sync::Arc;

use super::{ReplyPolicy, ZILLA_REPLY_TO, hops};
use crate::failure::{Failure, Reason};
use crate::record::{Record, last};
use crate::route::valid_topic_name;

/// Spring's companion of `kafka_replyTopic`: 4 bytes, big-endian.
const REPLY_PARTITION: &str = "kafka_replyPartition";

/// Where an answer goes: an address that this record may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnAddress {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition, where the record names one. See [`check_partition`](Self::check_partition).
    pub partition: Option<i32>,
    /// Whether the address came in `zilla:reply-to`, whose reader wants the status as `:status` too.
    pub zilla: bool,
}

impl ReturnAddress {
    /// Refuses a partition that the topic, which has `partitions` of them, does not have.
    pub fn check_partition(&self, partitions: i32) -> Result<(), AddressFault> {
        match self.partition {
            Some(partition) if partition >= partitions => Err(AddressFault {
                failure: Failure::new(
                    Reason::InvalidRequest,
                    format!("`{REPLY_PARTITION}` is {partition}, and `{}` has {partitions} partitions", self.topic),
                ),
                answer: Some(self.anywhere()),
            }),
            _ => Ok(()),
        }
    }

    /// The same topic, with the partition left to the key.
    fn anywhere(&self) -> Self {
        Self { partition: None, ..self.clone() }
    }
}

/// A record whose return address does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressFault {
    /// What is wrong.
    pub failure: Failure,
    /// Who may be told so all the same: the topic is allowed, and only the partition is wrong.
    pub answer: Option<ReturnAddress>,
}

impl From<Failure> for AddressFault {
    fn from(failure: Failure) -> Self {
        Self { failure, answer: None }
    }
}

/// Finds the return address of a record, before its handler is called: the first header of the policy's list that the
/// record has, else the route's `fixed` topic. `None`: nobody waits for an answer.
///
/// A record that has been answered too often on its way is refused here, whether it names an address or not.
pub fn return_address(
    record: &Record,
    fixed: Option<&Arc<str>>,
    policy: &ReplyPolicy,
) -> Result<Option<ReturnAddress>, AddressFault> {
    check_hops(record, policy)?;
    let found = policy.return_address_headers.iter().find_map(|name| Some((name, last(&record.headers, name)?)));
    let Some((name, header)) = found else {
        return match fixed {
            None => Ok(None),
            Some(topic) => Ok(Some(allowed(record, topic, &"the route's `reply_to`", policy)?)),
        };
    };
    let invalid = |what: &str| Failure::new(Reason::InvalidRequest, format!("the return address in `{name}` {what}"));
    let topic = header.value.as_deref().ok_or_else(|| invalid("is null"))?;
    let topic = std::str::from_utf8(topic).map_err(|_| invalid("is not UTF-8"))?;
    if topic.is_empty() {
        return Err(invalid("is empty").into());
    }
    let address = allowed(record, topic, &format_args!("`{name}`"), policy)?;
    let address = ReturnAddress { zilla: name.eq_ignore_ascii_case(ZILLA_REPLY_TO), ..address };
    match reply_partition(record) {
        Ok(partition) => Ok(Some(ReturnAddress { partition, ..address })),
        Err(failure) => Err(AddressFault { failure, answer: Some(address) }),
    }
}

/// An address that the tenant's records may use, or why this one is none. `named_by` is for the message.
fn allowed(
    record: &Record,
    topic: &str,
    named_by: &dyn fmt::Display,
    policy: &ReplyPolicy,
) -> Result<ReturnAddress, Failure> {
    let refused = |why: &str| Failure::new(Reason::ReplyRefused, format!("the return address in {named_by} {why}"));
    if !valid_topic_name(topic) {
        return Err(refused("is not a valid topic name"));
    }
    if topic.starts_with("__") {
        return Err(refused(&format!("is `{topic}`: names that begin with `__` are Kafka's own")));
    }
    if *topic == *record.coordinate.topic {
        return Err(refused(&format!("is `{topic}`, the topic that the record came from")));
    }
    if !policy.allowed.allows(topic) {
        return Err(refused(&format!("is `{topic}`, which the tenant's `reply_topics` does not allow")));
    }
    Ok(ReturnAddress { topic: topic.into(), partition: None, zilla: false })
}

fn reply_partition(record: &Record) -> Result<Option<i32>, Failure> {
    let Some(header) = last(&record.headers, REPLY_PARTITION) else {
        return Ok(None);
    };
    let bytes = header.value.as_deref().and_then(|value| <[u8; 4]>::try_from(value).ok());
    bytes.map(i32::from_be_bytes).filter(|&partition| partition >= 0).map(Some).ok_or_else(|| {
        Failure::new(
            Reason::InvalidRequest,
            format!("`{REPLY_PARTITION}` is not a partition's number in 4 bytes, big-endian"),
        )
    })
}

fn check_hops(record: &Record, policy: &ReplyPolicy) -> Result<(), Failure> {
    let refused = |what: String| Err(Failure::new(Reason::TooManyHops, format!("`{}` {what}", super::HOPS)));
    match hops(record) {
        None => refused("is not a number".to_owned()),
        Some(hops) if hops > policy.max_hops => refused(format!(
            "is {hops}, over the tenant's `max_hops` of {}: do handlers answer each other?",
            policy.max_hops
        )),
        Some(_) => Ok(()),
    }
}
