use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};
use std::{pin::pin, thread};

use callgate_core::failure::Reason;

use super::backlog::Backlog;
use super::parcel::Fates;
use super::*;
use crate::broker::{DeliveryError, Shipment};
use crate::settle::numbered::{Numbered, record};

/// A writer's backlog without a broker.
struct Desk {
    backlog: Backlog<Numbered>,
    queue: Arc<Queue<Numbered>>,
    directory: Arc<Directory>,
    gone: Arc<AtomicBool>,
    stopped: Arc<AtomicBool>,
}

impl Desk {
    fn new() -> Self {
        let bootstrap_servers = "127.0.0.1:1".to_owned();
        let settings = ClientSettings { bootstrap_servers, properties: Vec::new(), embedded: false };
        let common = Common::new(&settings, None).expect("sound settings");
        let (queue, directory): (Arc<Queue<Numbered>>, _) = (Arc::default(), common.directory.clone());
        let backlog = Backlog::new(queue.clone(), directory.clone());
        Self { backlog, queue, directory, gone: Arc::default(), stopped: Arc::default() }
    }

    fn hand_over(&self, partition: i32, offset: i64, ending: Ending) {
        let (gone, stopped) = (self.gone.clone(), self.stopped.clone());
        let unit = Numbered { gone, stopped, ..Numbered::new(partition, offset) };
        let mut push = pin!(self.queue.push(Outcome::new(unit, ending)));
        assert!(push.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready(), "there is room");
    }

    /// Takes all that can be written now, and gives their offsets.
    fn offsets(&mut self) -> Vec<i64> {
        std::iter::from_fn(|| self.backlog.next(false)).map(|ready| ready.outcome.unit.at.offset).collect()
    }
}

fn failure() -> Failure {
    Failure::new(Reason::Trap, "it trapped")
}

#[test]
fn what_was_aborted_comes_first_and_in_its_order() {
    let mut desk = Desk::new();
    (0..3).for_each(|offset| desk.hand_over(0, offset, Ending::Done));
    let batch = [(); 2].map(|()| desk.backlog.next(false).expect("it was handed over"));
    desk.backlog.put_back(batch.into());
    assert!(desk.backlog.idle().is_zero());
    assert_eq!(desk.offsets(), [0, 1, 2]);
    assert!(!desk.backlog.idle().is_zero());
}

#[test]
fn nothing_is_written_for_a_partition_that_has_gone() {
    let mut desk = Desk::new();
    (0..3).for_each(|offset| desk.hand_over(0, offset, Ending::Done));
    desk.gone.store(true, Ordering::Relaxed);
    assert_eq!(desk.offsets(), [0; 0]);
    assert!(desk.queue.is_empty());
}

#[test]
fn nothing_of_its_partition_overtakes_a_dead_letter_that_cannot_be_written() {
    let mut desk = Desk::new();
    desk.directory.refuse(&"letters".into(), "it is missing".into(), true);
    desk.hand_over(0, 10, Ending::Done);
    desk.hand_over(0, 11, Ending::dead_letter(failure(), Answer::Nothing));
    desk.hand_over(0, 12, Ending::Done);
    desk.hand_over(1, 50, Ending::Done);
    assert_eq!(desk.offsets(), [10, 50]);
    assert!(desk.stopped.load(Ordering::Relaxed));

    thread::sleep(desk.backlog.idle());
    desk.backlog.try_again();
    assert_eq!(desk.offsets(), [0; 0], "the topic must be asked about anew");
    desk.directory.refuse(&"letters".into(), "it is still missing".into(), true);
    assert_eq!(desk.offsets(), [0; 0]);
}

#[test]
fn what_stands_aside_stays_there_when_earlier_outcomes_of_its_partition_are_written() {
    let mut desk = Desk::new();
    desk.directory.refuse(&"letters".into(), "it is missing".into(), false);
    desk.hand_over(0, 10, Ending::Done);
    desk.hand_over(0, 11, Ending::dead_letter(failure(), Answer::Nothing));
    desk.hand_over(0, 12, Ending::Done);
    let first = desk.backlog.next(false).expect("it was handed over");
    assert_eq!(desk.offsets(), [0; 0], "the others stand aside");
    desk.backlog.end(vec![first]);
    assert!(desk.stopped.load(Ordering::Relaxed), "and still do");

    thread::sleep(desk.backlog.idle());
    desk.backlog.try_again();
    desk.directory.refuse(&"letters".into(), "it is still missing".into(), false);
    assert_eq!(desk.offsets(), [0; 0]);
    assert!(desk.backlog.idle() > Duration::ZERO, "they are there, and wait");
    assert!(desk.backlog.idle() < Duration::from_secs(60));
}

#[test]
fn a_reply_to_a_refused_topic_becomes_a_dead_letter() {
    let mut desk = Desk::new();
    desk.directory.refuse(&"answers".into(), "it may not be written to".into(), false);
    desk.directory.refuse(&"letters".into(), "it is missing".into(), true);
    desk.hand_over(0, 10, Ending::Reply(Arc::new(record("answers", 1))));
    assert_eq!(desk.offsets(), [0; 0]);
    assert!(desk.stopped.load(Ordering::Relaxed), "and that one cannot be written either");
}

#[test]
fn whoever_hands_over_waits_while_the_queue_is_full() {
    let desk = Desk::new();
    let large = || Ending::Reply(Arc::new(record("answers", 10 << 20)));
    desk.hand_over(0, 10, large());
    let unit = Numbered::new(0, 11);
    let mut context = Context::from_waker(Waker::noop());
    let mut push = pin!(desk.queue.push(Outcome::new(unit, large())));
    assert_eq!(push.as_mut().poll(&mut context), Poll::Pending);
    assert!(desk.queue.pop().is_some());
    assert_eq!(push.as_mut().poll(&mut context), Poll::Ready(()));
}

#[test]
fn a_failure_is_known_before_the_others_have_arrived() {
    let fates = Arc::new(Fates::default());
    let parcels: Vec<_> = (0..3)
        .map(|place| Box::new(Parcel { record: Arc::new(record("answers", 1)), place, fates: fates.clone() }))
        .collect();
    let mut parcels = parcels.into_iter();
    let mut deliver = |result| parcels.next().expect("one is left").delivered(result);
    assert!(fates.await_arrival(0, Duration::ZERO), "an empty transaction has arrived");
    deliver(Ok(()));
    assert!(!fates.await_arrival(3, Duration::ZERO), "in time");
    deliver(Err(DeliveryError::lost()));
    assert!(!fates.await_arrival(3, Duration::from_secs(60)), "and at once");
    deliver(Ok(()));
    assert_eq!(fates.failed().into_keys().collect::<Vec<_>>(), [1]);
}
