use std::sync::atomic::Ordering;

use super::*;
use crate::settle::numbered::{Numbered, record};

fn reply(unit: Numbered) -> (Delivery<Numbered>, mpsc::UnboundedReceiver<Undelivered<Numbered>>) {
    let (mender, undelivered) = mpsc::unbounded_channel();
    (Delivery { record: record("answers", 1), meaning: Meaning::Reply { unit, mender } }, undelivered)
}

fn awaited() -> (Delivery<Numbered>, oneshot::Receiver<Result<(), DeliveryError>>) {
    let (ended, waiting) = oneshot::channel();
    (Delivery { record: record("answers", 1), meaning: Meaning::Awaited(ended) }, waiting)
}

/// A record that is sent once more shares a batch with nothing: of what was refused together, each is to show by itself
/// whether it fits.
#[test]
fn what_somebody_waits_for_is_gathered_with_nothing() {
    let (delivery, _waiting) = awaited();
    assert_eq!(delivery.haste(), Haste::Now);
}

#[test]
fn replies_wait_for_others_while_many_records_of_their_partition_do() {
    let (delivery, _) = reply(Numbered::new(0, 7));
    assert_eq!(delivery.haste(), Haste::Soon);
    let (delivery, _) = reply(Numbered { behind: true, ..Numbered::new(0, 7) });
    assert_eq!(delivery.haste(), Haste::Later);
}

#[test]
fn a_reply_that_was_gathered_is_not_sent_once_its_partition_has_gone() {
    let unit = Numbered::new(0, 7);
    let gone = unit.gone.clone();
    let (delivery, _) = reply(unit);
    assert!(!delivery.is_obsolete());
    gone.store(true, Ordering::Relaxed);
    assert!(delivery.is_obsolete());
}

#[test]
fn a_record_that_nobody_waits_for_any_more_is_not_sent() {
    let (delivery, waiting) = awaited();
    assert!(!delivery.is_obsolete());
    drop(waiting);
    assert!(delivery.is_obsolete());
}

#[test]
fn a_reply_that_was_not_delivered_is_handed_to_the_mender_whole() {
    let (delivery, mut undelivered) = reply(Numbered::new(0, 7));
    Box::new(delivery).delivered(Err(DeliveryError::lost()));
    let undelivered = undelivered.try_recv().expect("it was handed over");
    assert_eq!((undelivered.unit.at.offset, &*undelivered.record.topic), (7, "answers"));
}
