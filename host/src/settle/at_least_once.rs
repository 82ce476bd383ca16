//! At-least-once: what ends a record is produced, acknowledged, and only then is its offset free to be committed.

use std::sync::Arc;
use std::time::Duration;

use callgate_core::failure::Failure;
use callgate_core::record::OutgoingRecord;
use tokio::sync::mpsc;

use super::delivery::{Delivery, Meaning, Undelivered};
use super::mender;
use super::outbox::{BATCH_OVERHEAD, Outbox, too_large};
use super::{Answer, End, Unit};
use crate::broker::{ClientSettings, Directory, KnownTopic, Producer};
use crate::planted;

/// See the module. One a tenant's client set; clones share it.
pub struct AtLeastOnce<U: Unit> {
    outbox: Outbox<U>,
    mender: mpsc::UnboundedSender<Undelivered<U>>,
}

impl<U: Unit> Clone for AtLeastOnce<U> {
    fn clone(&self) -> Self {
        Self { outbox: self.outbox.clone(), mender: self.mender.clone() }
    }
}

impl<U: Unit> AtLeastOnce<U> {
    /// Makes the producer, and a thread that sees to what could not be delivered.
    ///
    /// # Errors
    /// librdkafka's own sentence, where it refuses the settings.
    pub fn new(settings: &ClientSettings) -> Result<Self, String> {
        let producer = Arc::new(Producer::new(settings)?);
        let outbox = Outbox { directory: Directory::new(settings, producer.clone()), producer };
        let (mender, undelivered) = mpsc::unbounded_channel();
        mender::start(outbox.clone(), undelivered);
        Ok(Self { outbox, mender })
    }

    /// What is known of the topics that may be written to.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.outbox.directory
    }

    /// Nothing is left to do for the record.
    pub fn done(&self, unit: U) {
        unit.end(End::Done);
    }

    /// Hands the reply to the producer; its acknowledgement ends the record. Returns before that: the next record of
    /// the lane may start, since the producer keeps the order.
    pub async fn reply(&self, unit: U, record: OutgoingRecord) {
        if let Some(Ok(KnownTopic { max_message_bytes: Some(max), .. })) = self.outbox.directory.known(&record.topic)
            && record.size() + BATCH_OVERHEAD > max
        {
            return self.dead_letter(unit, too_large(&record, Some(max)), Answer::Error(500)).await;
        }
        if planted::fault("commit-early") {
            unit.end(End::Replied);
            return self.outbox.send_later(record);
        }
        if planted::fault("reply-twice") {
            self.outbox.send_later(record.clone());
        }
        planted::die("die-before-produce");
        unit.sent();
        let meaning = Meaning::Reply { unit, mender: self.mender.clone() };
        self.outbox.send(Delivery { record, meaning }).await;
        planted::die("die-after-produce");
    }

    /// Writes the dead letter, however long that takes, and then the answer.
    pub async fn dead_letter(&self, unit: U, failure: Failure, answer: Answer) {
        self.outbox.dead_letter(unit, failure, answer).await;
    }

    /// Waits until everything sent was acknowledged, at most for `timeout`. Returns whether it was.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.outbox.producer.flush(timeout)
    }
}
