//! librdkafka's mock cluster, in this process: a broker for `callgate dev` and `make demo`, without Java or a download.
//!
//! It speaks Kafka's protocol on a port of 127.0.0.1, so other clients can join. It is no place for data: a partition
//! keeps about 5 MiB and forgets the rest, and all is gone when the process ends.

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

    /// Makes a topic. Topics that are only written to are made by themselves.
    ///
    /// # Errors
    /// librdkafka's own sentence.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), String> {
        self.cluster.create_topic(topic, partitions, 1).map_err(|error| error.to_string())
    }
}
