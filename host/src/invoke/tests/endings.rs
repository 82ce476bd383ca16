//! How calls end.

use callgate_core::failure::Reason::{self, *};

use super::profile::Profile;
use super::*;

/// For guests that have no end: each limit by itself, so that a busy machine does not decide which one is met first.
const LITTLE_TIME: CallLimits = CallLimits { deadline: Duration::from_millis(300), ..LIMITS };
const LITTLE_CPU: CallLimits = CallLimits { max_cpu: Duration::from_millis(50), ..LIMITS };

/// Everything that mischief does wrong, and what it is called.
const ENDINGS: [(&str, CallLimits, Reason, &str); 24] = [
    ("/spin", LITTLE_CPU, Deadline, "computed for 50ms without an end: the tenant's `max_cpu`"),
    ("/spin", LITTLE_TIME, Deadline, "ran 300ms without an end: deadline of the route (raise `deadline`"),
    ("/sleep", LITTLE_TIME, Deadline, "ran 300ms"),
    ("/spin-after-response", LITTLE_CPU, Deadline, "computed for 50ms"),
    ("/stalled-body", LITTLE_TIME, Deadline, "ran 300ms"),
    ("/empty-writes", LITTLE_TIME, Deadline, "ran 300ms"),
    ("/endless-log", LITTLE_CPU, Deadline, "computed for 50ms"),
    ("/allocate", LIMITS, OutOfMemory, "wanted more than 16777216 bytes of memory: the tenant's `max_memory`"),
    ("/recurse", LIMITS, Trap, "the guest's stack overflowed"),
    ("/handles?count=100000", LIMITS, Trap, "trapped in a call to the host: "),
    ("/trap", LIMITS, Trap, "trapped: wasm `unreachable` instruction executed"),
    ("/panic", LIMITS, Trap, "trapped: wasm `unreachable` instruction executed"),
    ("/out-of-bounds", LIMITS, Trap, "trapped: out of bounds memory access"),
    ("/exit-1", LIMITS, Trap, "exited with status 1"),
    ("/exit-0", LIMITS, NoResponse, "called `exit(0)`"),
    ("/no-response", LIMITS, NoResponse, "returned without a response"),
    ("/error", LIMITS, NoResponse, "set an error instead of a response: ErrorCode::InternalError"),
    ("/trap-after-response", LIMITS, Trap, "trapped: "),
    ("/wrong-content-length", LIMITS, InvalidResponse, "wrote other than its `content-length` says"),
    ("/unfinished-body", LIMITS, InvalidResponse, "gave up its response body"),
    ("/large-response?bytes=1048577", LIMITS, ResponseTooLarge, "larger than 1048576 bytes: the tenant's"),
    ("/endless-body", LIMITS, ResponseTooLarge, "larger than 1048576 bytes: the tenant's `max_response_body`"),
    ("/huge-headers?count=257&bytes=1", LIMITS, ResponseTooLarge, "has 257 headers: the tenant's `max_headers` is 256"),
    ("/huge-headers?count=66&bytes=1000", LIMITS, ResponseTooLarge, "are 66396 bytes: the tenant's `max_header_bytes`"),
];

#[test]
fn each_mischief_ends_its_own_call_and_only_that() {
    on_a_worker(all_end_their_own_calls(&MISCHIEF, &[&COFFEE]));
}

#[test]
fn each_mischief_with_much_memory_ends_its_own_call_and_only_that() {
    let large = callable("mischief", enlarged("mischief"));
    on_a_worker(all_end_their_own_calls(&large, &[&COFFEE, &callable("coffee", enlarged("coffee-rust"))]));
}

async fn all_end_their_own_calls(mischief: &Arc<Callable>, neighbours: &[&Arc<Callable>]) {
    let invoker = invoker();
    for (path, limits, reason, message) in ENDINGS {
        let call = tokio::task::spawn_local({
            let (invoker, mischief) = (invoker.clone(), mischief.clone());
            async move { failure_of(&mischief, &invoker, path, &limits).await }
        });
        let mut served = 0;
        while !call.is_finished() || served == 0 {
            for neighbour in neighbours {
                let response = invoker.call(neighbour, order(), &LIMITS).await.expect("a neighbour is served");
                assert_eq!(response.status(), 201, "beside {path}");
            }
            served += 1;
            tokio::task::yield_now().await;
        }
        let failure = call.await.expect("a task");
        assert_eq!(failure.reason, reason, "{path}: {failure}");
        assert!(failure.message.contains(message), "{path}: {failure}");
    }
}

#[test]
fn a_trap_says_where() {
    let failure = on_a_worker(async { failure(&invoker(), "/trap", &LIMITS).await });
    let trap = failure.trap.expect("a trap");
    assert!(trap.starts_with("trapped: wasm `unreachable` instruction executed\n"), "{trap}");
    assert!(trap.contains("  0: "), "{trap}");
    assert!(trap.len() <= 4096, "{trap}");
}

#[test]
fn what_is_within_the_limits_is_served() {
    on_a_worker(async {
        let invoker = invoker();
        for path in [
            "/large-response?bytes=1048576",
            "/huge-headers?count=255&bytes=1",
            "/allocate?mib=8",
            "/handles?count=200",
            "/spin?ms=50",
            "/sleep?ms=50",
        ] {
            let response = invoker.call(&MISCHIEF, get(path), &LIMITS).await;
            assert_eq!(response.expect(path).status(), 200, "{path}");
        }
    });
}

#[test]
fn every_call_has_an_instance_of_its_own() {
    on_a_worker(async {
        for mischief in [&MISCHIEF, &callable("mischief", enlarged("mischief"))] {
            let invoker = invoker();
            for _ in 0..3 {
                let response = invoker.call(mischief, get("/count"), &LIMITS).await.expect("a response");
                assert_eq!(&response.body()[..], br#"{"count":1}"#);
            }
        }
    });
}

#[test]
fn a_worker_makes_an_engine_for_much_memory_when_there_is_need() {
    on_a_worker(async {
        let invoker = invoker();
        for (name, profile) in [("mischief", Profile::P2Large), ("mischief-p3", Profile::P3Large)] {
            let large = callable(name, enlarged(name));
            assert!(!invoker.is_set_up_for(profile), "{profile}");
            let failure = failure_of(&large, &invoker, "/trap", &LIMITS).await;
            assert_eq!(failure.reason, Trap, "{failure}");
            assert!(invoker.is_set_up_for(profile), "{profile}");
        }
    });
}
