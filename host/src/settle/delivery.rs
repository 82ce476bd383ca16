//! A record that is on its way to the broker, and what its acknowledgement means.

use callgate_core::record::OutgoingRecord;
use tokio::sync::{mpsc, oneshot};

use super::{End, Unit};
use crate::broker::{DeliveryError, Haste, Shipment};
use crate::planted;

#[cfg(test)]
mod tests;

/// A reply that was not delivered, for the mender.
pub(super) struct Undelivered<U> {
    pub(super) unit: U,
    pub(super) record: OutgoingRecord,
    pub(super) error: DeliveryError,
}

pub(super) struct Delivery<U: Unit> {
    pub(super) record: OutgoingRecord,
    pub(super) meaning: Meaning<U>,
}

pub(super) enum Meaning<U: Unit> {
    /// A reply: acknowledged, it ends the unit; else the mender sees to it.
    Reply { unit: U, mender: mpsc::UnboundedSender<Undelivered<U>> },
    /// Somebody waits for the acknowledgement.
    Awaited(oneshot::Sender<Result<(), DeliveryError>>),
}

impl<U: Unit> Shipment for Delivery<U> {
    fn record(&self) -> &OutgoingRecord {
        &self.record
    }

    fn haste(&self) -> Haste {
        match &self.meaning {
            Meaning::Reply { unit, .. } if unit.is_behind() => Haste::Later,
            Meaning::Reply { .. } => Haste::Soon,
            // Whoever waits for it has waited for all that must be before it; and what is sent once more is to be alone.
            Meaning::Awaited(_) => Haste::Now,
        }
    }

    fn is_obsolete(&self) -> bool {
        match &self.meaning {
            Meaning::Reply { unit, .. } => unit.is_fenced(),
            Meaning::Awaited(waiting) => waiting.is_closed(),
        }
    }

    fn delivered(self: Box<Self>, result: Result<(), DeliveryError>) {
        let Self { record, meaning } = *self;
        match (meaning, result) {
            (Meaning::Reply { unit, .. }, Ok(())) => {
                planted::die("die-when-acknowledged");
                unit.end(End::Replied);
            }
            (Meaning::Reply { unit, mender }, Err(error)) => {
                // While the host stops nobody mends: the unit is dropped, so its record comes again.
                let _ = mender.send(Undelivered { unit, record, error });
            }
            (Meaning::Awaited(waiting), result) => {
                // Whoever waited may have been fenced.
                let _ = waiting.send(result);
            }
        }
    }
}
