use super::*;

const ID: [u8; 16] = [7; 16];

fn at(partition: i32) -> TopicPartition {
    TopicPartition { topic: "orders".into(), partition }
}

/// A group that has begun nothing, with two partitions there.
fn first_starts() -> FirstStarts {
    let waiting = [0, 1].map(|partition| (at(partition), ID)).into();
    FirstStarts { policy: FirstStart::Latest, waiting: Mutex::new(Some(waiting)) }
}

#[test]
fn what_was_there_begins_at_its_end_and_what_was_added_at_its_start() {
    let starts = first_starts();
    assert!(starts.is_at_end(&at(0), ID));
    assert!(!starts.is_at_end(&at(2), ID));
}

#[test]
fn a_partition_that_has_had_an_offset_begins_at_its_start() {
    let starts = first_starts();
    starts.begun(&at(0));
    assert!(!starts.is_at_end(&at(0), ID));
    assert!(starts.is_at_end(&at(1), ID));
}

#[test]
fn a_topic_that_was_made_anew_begins_at_its_start() {
    let starts = first_starts();
    assert!(!starts.is_at_end(&at(0), [8; 16]));
    assert!(starts.is_at_end(&at(0), UNKNOWN_TOPIC), "a broker that tells no ids");
}
