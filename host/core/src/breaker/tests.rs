use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> BreakerPolicy {
    BreakerPolicy { share: 0.5, min_records: 4, run: None, window: 12 * SECOND, pause: Some(30 * SECOND) }
}

/// A record that is called at once and ends so.
fn record(breaker: &mut Breaker, now: Duration, is_dead_letter: bool) -> Option<Change> {
    let pass = breaker.admit(now, None).expect("records are called");
    breaker.ended(now, pass, is_dead_letter)
}

fn open(breaker: &mut Breaker, now: Duration) {
    while breaker.position() != Position::Open {
        record(breaker, now, true);
    }
}

#[test]
fn it_opens_when_the_share_is_reached_and_not_below_so_many_records() {
    let mut breaker = Breaker::new(policy());
    assert_eq!(record(&mut breaker, SECOND, true), None);
    assert_eq!(record(&mut breaker, SECOND, true), None);
    assert_eq!(record(&mut breaker, SECOND, false), None, "three are not enough");
    assert_eq!(record(&mut breaker, SECOND, false), Some(Change::Opened { dead: 2, of: 4 }));
    assert_eq!(breaker.position(), Position::Open);
    assert_eq!(breaker.admit(2 * SECOND, None), Err(29 * SECOND));
}

#[test]
fn what_ended_before_the_window_does_not_count() {
    let mut breaker = Breaker::new(policy());
    for _ in 0..3 {
        assert_eq!(record(&mut breaker, SECOND, true), None);
    }
    assert_eq!(record(&mut breaker, 14 * SECOND, true), None, "the only one of its window");
    for _ in 0..2 {
        assert_eq!(record(&mut breaker, 15 * SECOND, true), None);
    }
    assert_eq!(record(&mut breaker, 15 * SECOND, true), Some(Change::Opened { dead: 4, of: 4 }));
}

#[test]
fn successes_alone_never_open_it() {
    let mut breaker = Breaker::new(BreakerPolicy { share: 0.0, ..policy() });
    for _ in 0..100 {
        assert_eq!(record(&mut breaker, SECOND, false), None);
    }
}

#[test]
fn a_run_opens_it_however_long_it_takes() {
    let mut breaker = Breaker::new(BreakerPolicy { share: 1.0, min_records: 1000, run: Some(3), ..policy() });
    assert_eq!(record(&mut breaker, SECOND, true), None);
    assert_eq!(record(&mut breaker, 100 * SECOND, true), None);
    assert_eq!(record(&mut breaker, 200 * SECOND, false), None, "the run is over");
    for hour in 1..3 {
        assert_eq!(record(&mut breaker, 3600 * hour * SECOND, true), None);
    }
    assert_eq!(record(&mut breaker, 9 * 3600 * SECOND, true), Some(Change::Opened { dead: 3, of: 3 }));
}

#[test]
fn after_the_pause_a_few_are_tried_and_decide() {
    let mut breaker = Breaker::new(policy());
    open(&mut breaker, Duration::ZERO);
    let passes: Vec<Pass> = std::iter::from_fn(|| breaker.admit(30 * SECOND, None).ok()).collect();
    assert_eq!((passes.len(), breaker.position()), (4, Position::HalfOpen));
    assert_eq!(breaker.admit(31 * SECOND, Some(passes[0])), Ok(passes[0]), "its next attempt");
    for pass in &passes[..3] {
        assert_eq!(breaker.ended(31 * SECOND, *pass, true), None);
    }
    assert_eq!(breaker.ended(32 * SECOND, passes[3], false), Some(Change::Opened { dead: 3, of: 4 }));
    assert_eq!(breaker.admit(32 * SECOND, Some(passes[0])), Err(30 * SECOND), "its next attempt waits as well");

    for _ in 0..3 {
        assert_eq!(record(&mut breaker, 70 * SECOND, false), None);
    }
    assert_eq!(record(&mut breaker, 70 * SECOND, false), Some(Change::Closed));
    assert_eq!(record(&mut breaker, 70 * SECOND, true), None, "it counts anew");
}

#[test]
fn what_was_called_before_it_opened_decides_nothing_later() {
    let mut breaker = Breaker::new(policy());
    let early = breaker.admit(Duration::ZERO, None).expect("closed");
    open(&mut breaker, Duration::ZERO);
    assert_eq!(breaker.ended(SECOND, early, false), None);
    let _trial = breaker.admit(30 * SECOND, None).expect("one is tried");
    for _ in 0..10 {
        assert_eq!(breaker.ended(31 * SECOND, early, false), None);
    }
    assert_eq!(breaker.position(), Position::HalfOpen);
}

#[test]
fn trials_that_never_end_do_not_keep_it_half_open_for_ever() {
    let mut breaker = Breaker::new(policy());
    open(&mut breaker, Duration::ZERO);
    let lost: Vec<Pass> = std::iter::from_fn(|| breaker.admit(30 * SECOND, None).ok()).collect();
    assert_eq!(lost.len(), 4);
    assert_eq!(breaker.admit(59 * SECOND, None), Err(SECOND));
    assert!(breaker.admit(60 * SECOND, None).is_ok());
}

#[test]
fn without_a_pause_only_a_person_closes_it() {
    let mut breaker = Breaker::new(BreakerPolicy { pause: None, ..policy() });
    open(&mut breaker, Duration::ZERO);
    assert!(breaker.admit(1_000_000 * SECOND, None).is_err());
    assert!(breaker.close());
    assert_eq!(breaker.position(), Position::Closed);
    assert!(breaker.admit(1_000_001 * SECOND, None).is_ok());
    assert!(!breaker.close(), "it was closed");
}

proptest! {
    /// Against a list of all that ended: the counts are those of the window, to a step.
    #[test]
    fn the_window_counts_what_lies_in_it(ends in prop::collection::vec((0..5_000u64, any::<bool>()), 1..200)) {
        let length = 12 * SECOND;
        let (mut window, mut now, mut all) = (Window::new(length), Duration::ZERO, VecDeque::new());
        for (millis, is_dead_letter) in ends {
            now += Duration::from_millis(millis);
            window.add(now, is_dead_letter);
            all.push_back((now, is_dead_letter));
            let within = |age: Duration| {
                let kept = all.iter().filter(|(at, _)| now.saturating_sub(*at) < age);
                kept.fold((0, 0), |(dead, of), (_, is_dead)| (dead + u32::from(*is_dead), of + 1))
            };
            let (dead, of) = window.counts();
            let (least, most) = (within(length - SECOND), within(length));
            prop_assert!(least.1 <= of && of <= most.1);
            prop_assert!(least.0 <= dead && dead <= most.0);
        }
    }
}
