//! librdkafka's mock cluster, in this process: a broker for `callgate dev` and `make demo`, without Java or a download.
//!
//! It speaks Kafka's protocol on a port of 127.0.0.1, so other clients can join. It is no place for data: a partition
//! keeps about 5 MiB and forgets the rest, and all is gone when the process ends.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// A broker of one node that lives as long as this value.
pub struct EmbeddedBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl EmbeddedBroker {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// librdkafka's own sentence.
    pub fn start() -> Result<Self, String> {
        Ok(Self { cluster: MockCluster::new(1).map_err(|error| error.to_string())? })
    }

    /// Its address, `127.0.0.1:port`.
    pub fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Makes a topic, if it is not there yet: another version of a handler has the topics of the one before, and a client
    /// may have been first. Topics that are only written to are made by themselves.
    ///
    /// # Errors
    /// librdkafka's own sentence.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), String> {
        match self.cluster.create_topic(topic, partitions, 1) {
            Ok(()) | Err(KafkaError::MockCluster(RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_is_there_is_no_error() {
        let broker = EmbeddedBroker::start().expect("a broker");
        assert_eq!(broker.create_topic("orders", 1), Ok(()));
        assert_eq!(broker.create_topic("orders", 1), Ok(()));
    }
}
