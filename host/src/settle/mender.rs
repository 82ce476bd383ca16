//! Sees to replies that were not delivered, on a thread of its own: neither the producer's thread nor a worker waits.

use std::thread;

use callgate_core::failure::{Failure, Reason};
use tokio::runtime::Builder;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{LocalSet, spawn_local};

use super::delivery::Undelivered;
use super::outbox::{Outbox, too_large};
use super::{Answer, End, Unit};
use crate::broker::DeliveryError;

/// Starts the thread. It ends when nobody can send it anything any more.
pub(super) fn start<U: Unit>(outbox: Outbox<U>, mut undelivered: UnboundedReceiver<Undelivered<U>>) {
    thread::Builder::new()
        .name("settle-mender".into())
        .spawn(move || {
            let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime without I/O");
            LocalSet::new().block_on(&runtime, async move {
                while let Some(failed) = undelivered.recv().await {
                    mend(&outbox, failed).await;
                }
            });
        })
        .expect("the system has a thread left");
}

/// A topic that is missing is mostly about to be made, or was made anew: so often is it asked about before that is believed.
const DOUBTS: u32 = 3;

/// In the order in which they failed: the batch that held them is taken apart, and each is sent alone.
async fn mend<U: Unit>(outbox: &Outbox<U>, failed: Undelivered<U>) {
    let Undelivered { unit, record, mut error } = failed;
    let mut doubts = DOUBTS;
    while !unit.is_fenced() {
        let is_doubtful = error.is_missing() && doubts > 0;
        doubts -= u32::from(is_doubtful);
        let failure = match error {
            DeliveryError::Topic(_) if !is_doubtful || !outbox.is_there_after_all(&record.topic).await => {
                outbox.directory.refuse(&record.topic, error.to_string(), error.is_missing());
                let message = format!("the broker refuses the reply topic {}: {error}", record.topic);
                return give_up(outbox, unit, Failure::new(Reason::ReplyFailed, message), Answer::Nothing);
            }
            _ => match outbox.deliver_alone(&record).await {
                Ok(()) => return unit.end(End::Replied),
                Err(again @ DeliveryError::Batch(_)) if again.is_too_large() => too_large(&record, None),
                Err(again @ DeliveryError::Batch(_)) => {
                    let message = format!("the broker refuses the reply to {}: {again}", record.topic);
                    Failure::new(Reason::ReplyFailed, message)
                }
                Err(again) => {
                    error = again;
                    continue;
                }
            },
        };
        return give_up(outbox, unit, failure, Answer::Error(500));
    }
}

/// The dead letter may have to wait for its topic; the other replies must not.
fn give_up<U: Unit>(outbox: &Outbox<U>, unit: U, failure: Failure, answer: Answer) {
    let outbox = outbox.clone();
    spawn_local(async move { outbox.dead_letter(unit, failure, answer).await });
}
