//! The only room with the Kafka client: a consumer and a producer a client set, what is known of topics, the embedded
//! broker. What leaves it are this host's own types, never librdkafka's.

mod consumer;
mod directory;
mod embedded;
mod events;
mod inspector;
mod native;
mod partitions;
mod producer;
mod questions;
mod requester;
mod settings;
mod transactional;
mod wake;

pub use consumer::{Assigned, Closing, FeedError, GroupConsumer, PartitionFeed};
pub use directory::{Directory, KnownTopic, TopicProblem};
pub use embedded::EmbeddedBroker;
pub use events::GroupEvent;
pub use inspector::{Allowed, Described, Inspector, NoAnswer, NotDescribed, TopicDescription};
pub use partitions::TopicPartition;
pub use producer::{DeliveryError, Haste, Producer, Shipment};
pub use questions::{Committed, Ends, GroupQuestions};
pub use requester::Requester;
pub use settings::{ClientSettings, FETCHED_AHEAD, PRODUCER_BUFFER, PropertyRefusal, check_properties, check_property};
pub use transactional::{GroupMembership, TransactionError, TransactionErrorKind, TransactionalProducer};
pub use wake::Wake;

use rdkafka::config::RDKafkaLogLevel;

/// librdkafka's own log, into ours.
fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        // Says of each property of consumers that producers ignore it, and the other way round: both get all.
        _ if facility == "CONFWARN" => tracing::debug!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::error!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
            tracing::warn!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Info => tracing::info!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}
