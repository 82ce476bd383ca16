//! A transactional producer. Its calls wait for the broker, so it belongs to a thread that may wait.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{Producer as _, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::native::transaction::{Membership, NativeError, send_offsets};
use super::partitions::TopicPartition;
use super::producer::{Context, DeliveryError, Shipment, hand_over};
use super::settings::{ClientSettings, TRANSACTION_TIMEOUT};

/// How long offsets may take into a transaction. The client has a time limit of its own, which it forgets while it looks for
/// the group's coordinator (librdkafka 2.12.1 sets `creq_ts_timeout` and never reads it): it then waits until the
/// connection to some broker comes or goes, and where none does, for ever.
const OFFSETS_TIMEOUT: Duration = TRANSACTION_TIMEOUT.saturating_add(Duration::from_secs(2));

/// Who commits offsets in a transaction: a member of a group, in the generation that it knew of when it was asked. The
/// broker takes them from no other member and in no later generation.
pub struct GroupMembership(pub(super) Membership);

/// Why a step of a transaction failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionError {
    /// What can be done.
    pub kind: TransactionErrorKind,
    /// librdkafka's own sentence.
    pub reason: String,
}

/// What can be done about a step that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionErrorKind {
    /// Abort the transaction; the same may be tried again.
    Abort,
    /// Abort it, and leave out what the broker will not have: it names a topic's trouble and no record.
    Content,
    /// The producer can do nothing any more. It must be made again, under the same id.
    Fatal,
}

impl TransactionError {
    fn new(code: RDKafkaErrorCode, is_fatal: bool, reason: String) -> Self {
        use RDKafkaErrorCode as Code;
        let kind = match code {
            _ if is_fatal => TransactionErrorKind::Fatal,
            Code::Fatal | Code::Fenced => TransactionErrorKind::Fatal,
            Code::TopicAuthorizationFailed
            | Code::OperationNotAttempted
            | Code::UnknownTopicOrPartition
            | Code::InvalidTopic => TransactionErrorKind::Content,
            _ => TransactionErrorKind::Abort,
        };
        Self { kind, reason }
    }
}

impl fmt::Display for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl From<KafkaError> for TransactionError {
    fn from(error: KafkaError) -> Self {
        match &error {
            KafkaError::Transaction(told) => Self::new(told.code(), told.is_fatal(), told.string()),
            _ => Self::new(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail), false, error.to_string()),
        }
    }
}

impl From<NativeError> for TransactionError {
    fn from(NativeError { code, reason, is_fatal }: NativeError) -> Self {
        let mut error = Self::new(code, is_fatal, reason);
        if error.kind == TransactionErrorKind::Content {
            // Said of offsets, this is not about what was produced: the right to read a source was taken back, say.
            error.kind = TransactionErrorKind::Abort;
        }
        error
    }
}

/// A producer with a transactional id. Dropping it leaves an open transaction to its timeout, or to whoever begins under
/// the same id.
pub struct TransactionalProducer<S: Shipment> {
    client: Arc<ThreadedProducer<Context<S>>>,
}

impl<S: Shipment> TransactionalProducer<S> {
    /// Makes the client; nothing is asked of the broker yet.
    ///
    /// # Errors
    /// librdkafka's own sentence, where it refuses the settings.
    pub fn new(settings: &ClientSettings, transactional_id: &str) -> Result<Self, String> {
        let config = settings.transactional_producer(transactional_id);
        let client = config.create_with_context(Context::default()).map_err(|error| error.to_string())?;
        Ok(Self { client: Arc::new(client) })
    }

    /// Ends what an earlier producer of the same id has left: its open transaction is aborted, one that was being
    /// committed is committed, and that producer can do nothing any more. To be called first, and again as long as it fails
    /// with another kind than [`TransactionErrorKind::Fatal`].
    ///
    /// # Errors
    /// [`TransactionError`].
    pub fn take_over(&self, timeout: Duration) -> Result<(), TransactionError> {
        Ok(self.client.init_transactions(timeout)?)
    }

    /// Begins a transaction. Nothing is told to the broker before the first record.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub fn begin(&self) -> Result<(), TransactionError> {
        Ok(self.client.begin_transaction()?)
    }

    /// Sends in the open transaction, without waiting. `Err` gives the shipment back while the producer's queue is full:
    /// wait and try again, in order. Anything else arrives as [`Shipment::delivered`].
    pub fn send(&self, shipment: Box<S>) -> Result<(), Box<S>> {
        match hand_over(&self.client, shipment) {
            Ok(()) => Ok(()),
            Err((RDKafkaErrorCode::QueueFull, shipment)) => Err(shipment),
            Err((code, shipment)) => {
                shipment.delivered(Err(DeliveryError::judge(code)));
                Ok(())
            }
        }
    }

    /// Has the client ask what there is of a topic: by itself it would believe for minutes what it knows. Waits for the
    /// broker, at most for `timeout`.
    pub fn learn(&self, topic: &str, timeout: Duration) {
        // Without an answer it goes on with what it knew.
        let _ = self.client.client().fetch_metadata(Some(topic), timeout);
    }

    /// Why the open transaction has failed, if it has.
    pub fn failure(&self) -> Option<TransactionError> {
        // Beginning once more is refused in any case: a transaction that has failed says why, a sound one that it is open.
        match self.client.begin_transaction() {
            Err(KafkaError::Transaction(told)) if told.code() == RDKafkaErrorCode::State => None,
            Err(error) => Some(error.into()),
            Ok(()) => None,
        }
    }

    /// Puts offsets and their metadata into the open transaction; each offset is the next one to read.
    ///
    /// # Errors
    /// [`TransactionError`]. One that comes of [`OFFSETS_TIMEOUT`] is [`Fatal`](TransactionErrorKind::Fatal): the call goes on
    /// and keeps its client, whose epoch ends when another producer begins under the same id.
    pub fn send_offsets(
        &self,
        offsets: &[(TopicPartition, i64, &str)],
        membership: GroupMembership,
    ) -> Result<(), TransactionError> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (at, offset, metadata) in offsets {
            let mut element = list.add_partition(&at.topic, at.partition);
            element.set_offset(Offset::Offset(*offset))?;
            element.set_metadata(metadata);
        }
        let timeout = i32::try_from(TRANSACTION_TIMEOUT.as_millis()).unwrap_or(i32::MAX);
        let (answer, answered) = mpsc::channel();
        let client = self.client.clone();
        let call = move || {
            let result = send_offsets(client.client().native_client(), &list, &membership.0, timeout);
            // Nobody listens any more if it took too long.
            let _ = answer.send(result);
        };
        thread::Builder::new().name("settle-offsets".into()).spawn(call).map_err(|error| TransactionError {
            kind: TransactionErrorKind::Abort,
            reason: format!("the system has no thread left: {error}"),
        })?;
        match answered.recv_timeout(OFFSETS_TIMEOUT) {
            Ok(result) => Ok(result?),
            Err(_) => {
                let reason = format!("the client has put no offsets into the transaction within {OFFSETS_TIMEOUT:?}");
                Err(TransactionError { kind: TransactionErrorKind::Fatal, reason })
            }
        }
    }

    /// Commits. To be called when all that was sent is acknowledged.
    ///
    /// # Errors
    /// [`TransactionError`]: whether it has counted cannot be told from it.
    pub fn commit(&self) -> Result<(), TransactionError> {
        Ok(self.client.commit_transaction(TRANSACTION_TIMEOUT)?)
    }

    /// Aborts: what is on its way comes back as failed before this returns.
    ///
    /// # Errors
    /// [`TransactionError`]; make the producer again.
    pub fn abort(&self) -> Result<(), TransactionError> {
        Ok(self.client.abort_transaction(TRANSACTION_TIMEOUT)?)
    }
}
