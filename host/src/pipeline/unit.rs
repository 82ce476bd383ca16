//! A record on its way, with all that its end needs to know.

use std::sync::Arc;
use std::time::Instant;

use callgate_core::breaker::Pass;
use callgate_core::dead_letter::{DeadLetterContext, dead_letter, dead_letter_topic};
use callgate_core::failure::Failure;
use callgate_core::offsets::Commit;
use callgate_core::record::{Coordinate, OutgoingRecord, Record};
use callgate_core::reply::{ReturnAddress, error_reply};
use callgate_core::stop::Stop;

use super::bound::Bound;
use super::gate::Gate;
use super::observe::{Ended, Observer};
use super::room::Reserved;
use crate::consume::{Hold, Place};
use crate::settle::{self, End, TransactionEnd, Unit};

/// How the ends of records are made durable.
pub(super) type Settlement = settle::Settlement<RecordUnit>;

/// See the module.
pub(super) struct RecordUnit {
    pub(super) record: Arc<Record>,
    pub(super) place: Place,
    pub(super) bound: Arc<Bound>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) address: Option<ReturnAddress>,
    pub(super) attempts: u32,
    pub(super) status: Option<u16>,
    /// The digest of the component that failed, where the calls were of several.
    pub(super) component: Option<Arc<str>>,
    /// The leave that a circuit breaker has given, and which.
    pub(super) pass: Option<(Arc<Gate>, Pass)>,
    /// The host's span in a trace that the record brings.
    pub(super) span: Option<[u8; 8]>,
    pub(super) began: Instant,
    /// Memory for what comes of it, held until that is where it should be.
    pub(super) memory: Option<Reserved>,
}

impl Unit for RecordUnit {
    type Hold = Hold;

    fn coordinate(&self) -> &Coordinate {
        &self.record.coordinate
    }

    fn dead_letter_topic(&self) -> Arc<str> {
        dead_letter_topic(&self.record.coordinate.topic, &self.bound.handler.tenant.dead_letter)
    }

    fn dead_letter(&self, failure: &Failure, partitions: i32, max_bytes: Option<usize>) -> OutgoingRecord {
        let handler = &self.bound.handler;
        let context = DeadLetterContext {
            group: &handler.group_id,
            tenant: &handler.tenant.name,
            handler: &handler.name,
            digest: handler.callable.digest(),
            attempts: self.attempts,
        };
        let max_bytes = max_bytes.unwrap_or(usize::MAX);
        dead_letter(&self.record, &context, failure, &handler.tenant.dead_letter, Some(partitions), max_bytes)
    }

    fn error_reply(&self, status: u16, failure: &Failure) -> Option<OutgoingRecord> {
        let address = self.address.as_ref()?;
        let policy = &self.bound.handler.tenant.reply;
        Some(error_reply(&self.record, address, status, failure, policy, self.span))
    }

    fn is_fenced(&self) -> bool {
        self.place.partition().is_fenced()
    }

    fn is_behind(&self) -> bool {
        self.place.partition().is_behind()
    }

    fn sent(&self) {
        self.place.sent();
    }

    async fn await_earlier(&self) {
        self.place.await_earlier().await;
    }

    fn stop_partition(&self, stop: Stop) {
        self.place.partition().stop(stop);
    }

    fn resume_partition(&self) {
        self.place.partition().go_on();
    }

    fn end(self, end: End) {
        let Self { record, place, bound, observer, address, attempts, status, component, pass, began, .. } = self;
        place.end();
        if let Some((gate, pass)) = pass {
            gate.ended(&bound, pass, matches!(end, End::DeadLettered { .. }));
        }
        let reply_topic = address.as_ref().map(|address| &*address.topic);
        let took = began.elapsed();
        if let End::DeadLettered { reason, answered } = end {
            let handler = &bound.handler;
            tracing::warn!(
                target: "callgate::dead_letter",
                topic = %record.coordinate.topic, partition = record.coordinate.partition,
                offset = record.coordinate.offset, tenant = %handler.tenant.name, handler = %handler.name,
                version = %handler.version, digest = %component.as_ref().unwrap_or(handler.callable.digest()),
                stage = reason.stage().as_str(),
                reason = reason.as_str(), attempts, status, answered,
                "dead letter"
            );
        }
        observer.ended(&Ended { record: &record, bound: &bound, reply_topic, attempts, status, end, took });
    }

    fn slot(&self) -> usize {
        self.place.partition().slot()
    }

    fn hold(&self) -> Option<Hold> {
        self.place.partition().hold()
    }

    fn commit_with(units: &[&Self]) -> Option<Commit> {
        Place::commit_with(units.iter().map(|unit| &unit.place))
    }

    fn transaction_ended(&self, end: TransactionEnd) {
        self.observer.transaction_ended(&self.bound.handler.group_id, end);
    }
}
