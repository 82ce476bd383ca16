//! The three sets of headers that tell what happened.

use bytes::Bytes;

use super::DeadLetterContext;
use crate::failure::Failure;
use crate::record::{Header, Record, TimestampKind};

/// What is shortened where a letter is too large: traces before messages, whichever the set.
pub(super) const SHORTENED: [&str; 6] = [
    "x-callgate-dlt-trap",
    "__connect.errors.exception.stacktrace",
    "kafka_dlt-exception-stacktrace",
    "x-callgate-dlt-message",
    "__connect.errors.exception.message",
    "kafka_dlt-exception-message",
];

/// Callgate's own set: text throughout, and absent where there is nothing to say.
pub(super) fn callgate(record: &Record, context: &DeadLetterContext<'_>, failure: &Failure) -> Vec<Header> {
    let coordinate = &record.coordinate;
    let mut headers = vec![
        text("x-callgate-dlt-topic", &*coordinate.topic),
        text("x-callgate-dlt-partition", coordinate.partition.to_string()),
        text("x-callgate-dlt-offset", coordinate.offset.to_string()),
    ];
    if let Some(timestamp) = record.timestamp {
        headers.push(text("x-callgate-dlt-timestamp", timestamp.millis.to_string()));
    }
    headers.extend([
        text("x-callgate-dlt-group", context.group),
        text("x-callgate-dlt-tenant", context.tenant),
        text("x-callgate-dlt-handler", context.handler),
        text("x-callgate-dlt-digest", failure.component.as_deref().unwrap_or(context.digest)),
        text("x-callgate-dlt-attempts", context.attempts.to_string()),
        text("x-callgate-dlt-stage", failure.reason.stage().as_str()),
        text("x-callgate-dlt-reason", failure.reason.as_str()),
        text("x-callgate-dlt-message", &*failure.message),
    ]);
    if let Some(status) = failure.status {
        headers.push(text("x-callgate-dlt-status", status.to_string()));
    }
    if let Some(trap) = &failure.trap {
        headers.push(text("x-callgate-dlt-trap", &**trap));
    }
    headers
}

/// Kafka Connect's set (`org.apache.kafka.connect.runtime.errors.DeadLetterQueueReporter`), in its order. A handler is
/// the connector, of one task; the class that failed is named after the reason, there being no other.
pub(super) fn connect(record: &Record, context: &DeadLetterContext<'_>, failure: &Failure) -> Vec<Header> {
    let coordinate = &record.coordinate;
    let class = class(failure);
    vec![
        text("__connect.errors.topic", &*coordinate.topic),
        text("__connect.errors.partition", coordinate.partition.to_string()),
        text("__connect.errors.offset", coordinate.offset.to_string()),
        text("__connect.errors.connector.name", format!("{}.{}", context.tenant, context.handler)),
        text("__connect.errors.task.id", "0"),
        text("__connect.errors.stage", "TASK_PUT"),
        text("__connect.errors.class.name", class.clone()),
        text("__connect.errors.exception.class.name", class),
        text("__connect.errors.exception.message", &*failure.message),
        text("__connect.errors.exception.stacktrace", stack_trace(failure)),
    ]
}

/// Spring's set (`org.springframework.kafka.listener.DeadLetterPublishingRecoverer`, names of
/// `org.springframework.kafka.support.KafkaHeaders`), in its order: `int` in 4 bytes, `long` in 8, big-endian. A record
/// without a timestamp has -1 and `NoTimestampType` there.
pub(super) fn spring(record: &Record, context: &DeadLetterContext<'_>, failure: &Failure) -> Vec<Header> {
    let coordinate = &record.coordinate;
    let timestamp_type = match record.timestamp.map(|timestamp| timestamp.kind) {
        Some(TimestampKind::CreateTime) => "CreateTime",
        Some(TimestampKind::LogAppendTime) => "LogAppendTime",
        None => "NoTimestampType",
    };
    let millis = record.timestamp.map_or(-1, |timestamp| timestamp.millis);
    vec![
        text("kafka_dlt-original-topic", &*coordinate.topic),
        bytes("kafka_dlt-original-partition", &coordinate.partition.to_be_bytes()),
        bytes("kafka_dlt-original-offset", &coordinate.offset.to_be_bytes()),
        bytes("kafka_dlt-original-timestamp", &millis.to_be_bytes()),
        text("kafka_dlt-original-timestamp-type", timestamp_type),
        text("kafka_dlt-original-consumer-group", context.group),
        text("kafka_dlt-exception-fqcn", class(failure)),
        text("kafka_dlt-exception-message", &*failure.message),
        text("kafka_dlt-exception-stacktrace", stack_trace(failure)),
    ]
}

fn class(failure: &Failure) -> String {
    format!("callgate.{}", failure.reason)
}

/// What Java prints of an exception: class and message, then the frames.
fn stack_trace(failure: &Failure) -> String {
    let head = format!("callgate.{failure}");
    match &failure.trap {
        Some(trap) => format!("{head}\n{trap}"),
        None => head,
    }
}

fn text(name: &'static str, value: impl Into<String>) -> Header {
    Header::new(name, value.into())
}

fn bytes(name: &'static str, value: &[u8]) -> Header {
    Header::new(name, Bytes::copy_from_slice(value))
}
