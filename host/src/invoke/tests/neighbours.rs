//! Calls side by side on one worker: what they share, and what they must not.

use std::future::poll_fn;
use std::time::Instant;

use callgate_core::failure::Reason;

use super::*;

/// What a busy test machine may add to a time; what is promised is much less.
const GRACE: Duration = Duration::from_secs(5);

/// How long each of these calls takes to fail, all of them at once on one worker.
async fn times_to_fail(paths: &[&'static str], deadline: Duration) -> Vec<Duration> {
    let invoker = invoker();
    let limits = CallLimits { deadline, ..LIMITS };
    let tasks: Vec<_> = paths
        .iter()
        .map(|&path| {
            let invoker = invoker.clone();
            tokio::task::spawn_local(async move {
                let began = Instant::now();
                assert_eq!(failure(&invoker, path, &limits).await.reason, Reason::Deadline);
                began.elapsed()
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.push(task.await.expect("a task"));
    }
    times
}

#[test]
fn spinning_and_waiting_guests_end_on_time_together() {
    let deadline = Duration::from_millis(300);
    let paths = [["/spin"; 32], ["/sleep"; 32]].concat();
    for time in on_a_worker(times_to_fail(&paths, deadline)) {
        assert!(time >= deadline && time < deadline + GRACE, "ended after {time:?}");
    }
}

#[test]
fn a_watchdog_that_slept_wakes_up_for_the_next_call() {
    on_a_worker(async {
        for _ in 0..2 {
            // Longer than it takes to fall asleep.
            tokio::time::sleep(Duration::from_millis(400)).await;
            let times = times_to_fail(&["/spin", "/sleep"], Duration::from_millis(100)).await;
            assert!(times.iter().all(|time| *time < Duration::from_millis(100) + GRACE), "{times:?}");
        }
    });
}

#[test]
fn a_worker_without_room_says_so() {
    on_a_worker(async {
        let invoker = invoker_with(1);
        let first = tokio::task::spawn_local({
            let invoker = invoker.clone();
            async move { invoker.call(&MISCHIEF, get("/sleep?ms=100"), &LIMITS).await }
        });
        tokio::task::yield_now().await;
        let second = invoker.call(&COFFEE, order(), &LIMITS).await;
        assert!(matches!(second, Err(CallError::Overload(_))), "{second:?}");
        assert_eq!(first.await.expect("a task").expect("a response").status(), 200);
        assert_eq!(invoker.call(&COFFEE, order(), &LIMITS).await.expect("a response").status(), 201);
    });
}

#[test]
fn a_dropped_call_gives_back_its_slot() {
    on_a_worker(async {
        let invoker = invoker_with(1);
        for path in ["/sleep", "/spin", "/stalled-body"] {
            let call = invoker.call(&MISCHIEF, get(path), &LIMITS);
            tokio::time::timeout(Duration::from_millis(30), call).await.expect_err("it has no end");
            assert_eq!(invoker.call(&COFFEE, order(), &LIMITS).await.expect("a response").status(), 201);
        }
    });
}

#[test]
fn ten_thousand_calls_leave_nothing_behind() {
    on_a_worker(async {
        let invoker = invoker_with(2);
        let mut after_warming_up = 0;
        for call in 0..10_000 {
            if call % 100 == 0 {
                let failure = failure(&invoker, "/allocate", &LIMITS).await;
                assert_eq!(failure.reason, Reason::OutOfMemory);
            }
            assert_eq!(invoker.call(&COFFEE, order(), &LIMITS).await.expect("a response").status(), 201);
            if call == 1_000 {
                after_warming_up = resident_bytes();
            }
        }
        // Other tests run in this process at the same time; a leak of one instance a call would be gigabytes.
        let grown = resident_bytes().saturating_sub(after_warming_up);
        assert!(grown < 512 << 20, "{grown} bytes more than before");
    });
}

fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux says how much memory a process has");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    pages * rustix::param::page_size()
}

/// A call of a guest that spins for ever, of which its worker says that others have kept it waiting.
async fn spun(waited: Duration, limits: &CallLimits) -> (Result<http::Response<Bytes>, CallError>, Duration) {
    let invoker = invoker();
    let began = Instant::now();
    let mut call = std::pin::pin!(invoker.call(&MISCHIEF, get("/spin"), limits));
    let mut first = true;
    let ended = poll_fn(|context| {
        if !std::mem::take(&mut first) {
            invoker.waits().set(waited);
        }
        call.as_mut().poll(context)
    });
    (ended.await, began.elapsed())
}

#[test]
fn a_call_that_others_kept_waiting_for_most_of_its_time_has_not_failed() {
    let limits = CallLimits { deadline: Duration::from_millis(200), ..LIMITS };
    let (ended, _) = on_a_worker(spun(Duration::from_millis(150), &limits));
    assert!(matches!(ended, Err(CallError::Overload(_))), "{ended:?}");
    let (ended, _) = on_a_worker(spun(Duration::from_millis(20), &limits));
    assert!(matches!(ended, Err(CallError::Failed(_))), "{ended:?}");
}

#[test]
fn a_call_with_patience_gets_its_time_although_others_kept_it_waiting() {
    let limits = CallLimits { deadline: Duration::from_millis(200), patience: Duration::from_millis(300), ..LIMITS };
    let (ended, took) = on_a_worker(spun(Duration::from_millis(250), &limits));
    assert!(matches!(ended, Err(CallError::Failed(_))), "{ended:?}");
    assert!(took >= Duration::from_millis(450), "{took:?}");
}
