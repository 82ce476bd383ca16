use std::pin::pin;
use std::task::{Context, Waker};

use callgate_core::record::Coordinate;
use callgate_core::stop::{Stop, StopCause};

use super::*;

const BOUNDS: Bounds = Bounds { records: 4, bytes: 1000 };

fn partition(bounds: Bounds) -> Arc<Partition> {
    ordered(Ordering::Partition, bounds)
}

fn ordered(ordering: Ordering, bounds: Bounds) -> Arc<Partition> {
    let at = TopicPartition { topic: "orders".into(), partition: 0 };
    let beginning = Beginning { topic_id: [0; 16], position: 10, metadata: None, slot: 0 };
    Arc::new(Partition::new(at, ordering, 1, beginning, bounds, Arc::default()))
}

fn record(offset: i64) -> Arc<Record> {
    Arc::new(Record {
        coordinate: Coordinate { topic: "orders".into(), partition: 0, offset },
        timestamp: None,
        key: None,
        value: Some("espresso".into()),
        headers: Vec::new(),
    })
}

/// Takes in so many records from offset 10 on, and gives the lane that they are in.
fn taken_in(partition: &Partition, count: i64) -> LaneId {
    let lane = partition.offer(record(10)).expect("there is room").expect("the lane was idle");
    for offset in 11..10 + count {
        assert_eq!(partition.offer(record(offset)), Ok(None), "the lane is being worked on");
    }
    lane
}

fn end_next(partition: &Arc<Partition>, lane: &LaneId) {
    let (_, place) = partition.next(lane).expect("a record waits").split(partition);
    place.end();
}

#[test]
fn nothing_is_committed_above_a_record_that_has_not_ended() {
    let partition = partition(BOUNDS);
    let lane = taken_in(&partition, 2);
    let (_, first) = partition.next(&lane).expect("the first").split(&partition);
    let (_, second) = partition.next(&lane).expect("the second").split(&partition);
    second.end();
    assert_eq!(partition.commit().map(|commit| commit.offset), Some(10));
    first.end();
    assert_eq!(partition.commit().map(|commit| commit.offset), Some(12));
}

#[test]
fn a_transaction_commits_what_has_not_ended_yet() {
    let partition = partition(BOUNDS);
    let lane = taken_in(&partition, 3);
    let [a, b, c] = [(); 3].map(|()| partition.next(&lane).expect("a record waits").split(&partition).1);
    let first = Place::commit_with([&a, &b].into_iter()).expect("two places");
    assert_eq!((first.offset, partition.started()), (12, 3), "it may yet be aborted");
    let second = Place::commit_with([&a].into_iter()).expect("a place");
    assert_eq!(second.offset, 11);
    assert_eq!(Place::commit_with(std::iter::empty()), None);
    [a, b, c].into_iter().for_each(Place::end);
    assert_eq!(partition.started(), 0);
}

#[test]
fn a_partition_is_held_only_as_long_as_it_is_ours() {
    let partition = partition(BOUNDS);
    let hold = partition.hold().expect("it is ours");
    partition.fence();
    assert!(partition.is_held(), "a transaction is open");
    assert!(partition.hold().is_none());
    drop(hold);
    assert!(!partition.is_held());
}

#[test]
fn a_commit_that_was_not_taken_is_made_again() {
    let partition = partition(BOUNDS);
    let lane = taken_in(&partition, 1);
    assert_eq!(partition.commit(), None, "nothing has ended");
    end_next(&partition, &lane);
    let commit = partition.commit().expect("something has");
    assert_eq!(partition.commit().map(|again| again.offset), Some(commit.offset));
    partition.committed(&commit);
    assert_eq!(partition.commit(), None);
}

#[test]
fn a_first_position_is_committed_before_anything_has_ended() {
    let partition = partition(BOUNDS);
    partition.commit_anyway();
    let commit = partition.commit().expect("it was asked for");
    assert_eq!(commit.offset, 10);
    partition.committed(&commit);
    assert_eq!(partition.commit(), None);
}

#[test]
fn each_end_makes_room_and_half_of_them_wake_whoever_feeds() {
    let partition = partition(BOUNDS);
    let lane = taken_in(&partition, 4);
    assert_eq!((partition.room(), partition.state().ends_until_wake), (0, 2));
    end_next(&partition, &lane);
    assert_eq!((partition.room(), partition.state().ends_until_wake), (1, 1));
    end_next(&partition, &lane);
    assert_eq!((partition.room(), partition.state().ends_until_wake), (2, 0));
}

#[test]
fn records_that_wait_do_not_keep_others_out_of_room_that_is_there() {
    let partition = partition(Bounds { records: 100, bytes: 1 << 20 });
    let lane = taken_in(&partition, 99);
    let _waits_for_its_retry = partition.next(&lane);
    assert_eq!(partition.room(), 1);
    assert_eq!(partition.offer(record(109)), Ok(None));
    assert_eq!(partition.room(), 0);
    end_next(&partition, &lane);
    assert_eq!(partition.room(), 1, "99 of 100 is not full");
}

#[test]
fn one_record_is_taken_in_however_large_it_is() {
    let partition = partition(Bounds { records: 4, bytes: 1 });
    assert!(partition.room() > 0);
    let lane = taken_in(&partition, 1);
    assert_eq!(partition.room(), 0);
    end_next(&partition, &lane);
    assert!(partition.room() > 0);
}

#[test]
fn what_is_fenced_hands_out_nothing_more() {
    let partition = partition(BOUNDS);
    let lane = taken_in(&partition, 3);
    let begun = partition.next(&lane).expect("the first");
    partition.fence();
    assert!(partition.is_fenced());
    assert!(partition.next(&lane).is_none(), "those that waited come again elsewhere");
    assert_eq!(partition.started(), 1);
    begun.split(&partition).1.end();
    assert_eq!(partition.started(), 0);
}

#[tokio::test]
async fn whoever_waits_for_the_fence_is_told() {
    let partition = partition(BOUNDS);
    let (waited, ()) = tokio::join!(partition.fenced(), async {
        tokio::task::yield_now().await;
        partition.fence();
    });
    assert_eq!(waited, ());
    partition.fenced().await;
}

#[test]
fn only_a_stop_for_now_is_ended_by_the_one_who_made_it() {
    let partition = partition(BOUNDS);
    let for_now = Stop::new(StopCause::DeadLetterUnwritable, "the dead letter cannot be written");
    let for_good = Stop::new(StopCause::OffsetOutOfRange, "offset out of range");
    partition.stop(for_now.clone());
    assert_eq!(partition.room(), 0);
    partition.go_on();
    assert!(partition.room() > 0);
    partition.stop_for_good(for_good.clone());
    partition.stop(for_now);
    partition.go_on();
    assert_eq!(partition.stopped(), Some(for_good));
    assert_eq!(partition.room(), 0);
}

#[test]
fn records_that_were_taken_in_before_are_not_taken_in_again() {
    let partition = partition(BOUNDS);
    taken_in(&partition, 2);
    assert_eq!(partition.offer(record(11)), Ok(None));
    assert_eq!(partition.offer(record(9)), Ok(None), "below the position");
    assert_eq!(partition.held(), 2);
}

/// Two records of one lane that were both started, the first one's reply with the producer.
fn one_behind_the_other(ordering: Ordering) -> [Place; 2] {
    let partition = ordered(ordering, BOUNDS);
    [10, 11].map(|offset| {
        let record = Arc::new(Record { key: Some("table 3".into()), ..Arc::unwrap_or_clone(record(offset)) });
        let lane = partition.offer(record).expect("there is room").expect("the lane was idle");
        let (_, place) = partition.next(&lane).expect("the record waits").split(&partition);
        assert!(partition.next(&lane).is_none());
        place.sent();
        place
    })
}

#[test]
fn a_dead_letter_does_not_overtake_a_reply_that_may_become_one() {
    let mut context = Context::from_waker(Waker::noop());
    for ordering in [Ordering::Partition, Ordering::Key] {
        let [first, second] = one_behind_the_other(ordering);
        assert!(pin!(first.await_earlier()).poll(&mut context).is_ready());
        {
            let mut letter = pin!(second.await_earlier());
            assert!(letter.as_mut().poll(&mut context).is_pending(), "{ordering:?}");
            first.end();
            assert!(letter.poll(&mut context).is_ready(), "{ordering:?}");
        }
        second.end();
    }
    let [first, second] = one_behind_the_other(Ordering::Unordered);
    assert!(pin!(second.await_earlier()).poll(&mut context).is_ready());
    [first, second].into_iter().for_each(Place::end);
}

#[test]
fn a_dead_letter_waits_no_longer_than_its_partition_is_there() {
    let mut context = Context::from_waker(Waker::noop());
    let [first, second] = one_behind_the_other(Ordering::Partition);
    {
        let mut letter = pin!(second.await_earlier());
        assert!(letter.as_mut().poll(&mut context).is_pending());
        second.partition().fence();
        assert!(letter.poll(&mut context).is_ready());
    }
    [first, second].into_iter().for_each(Place::end);
}
