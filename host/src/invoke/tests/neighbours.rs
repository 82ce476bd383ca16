//! Calls side by side on one worker: what they share, and what they must not.

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

fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a thread's time is positive")
}

fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux says how much memory a process has");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    pages * rustix::param::page_size()
}

#[test]
fn a_short_call_waits_for_one_long_call_and_not_for_all() {
    on_a_worker(async {
        let invoker = invoker();
        let limits = CallLimits { deadline: Duration::from_secs(2), max_cpu: Duration::from_secs(60), ..LIMITS };
        let spinning: Vec<_> = (0..64)
            .map(|_| {
                let invoker = invoker.clone();
                tokio::task::spawn_local(async move { failure(&invoker, "/spin", &limits).await })
            })
            .collect();
        // Each of them has computed for a tick, and is long from now on.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let began = thread_cpu_time();
        for _ in 0..20 {
            assert_eq!(invoker.call(&COFFEE, order(), &LIMITS).await.expect("a response").status(), 201);
            tokio::task::yield_now().await;
        }
        // Behind all of them it would be 20 rounds of 64 ticks. In the worker's own time, which no busy machine stretches.
        let waited = thread_cpu_time() - began;
        assert!(waited < Duration::from_millis(640), "{waited:?}");
        for call in spinning {
            assert_eq!(call.await.expect("a task").reason, Reason::Deadline);
        }
    });
}
