//! How calls end.

use callgate_core::failure::Reason::{self, *};

use super::*;

const SHORT: CallLimits =
    CallLimits { deadline: Duration::from_millis(600), max_cpu: Duration::from_millis(50), ..LIMITS };

/// Everything that mischief does wrong, and what it is called.
const ENDINGS: [(&str, Reason, &str); 22] = [
    ("/spin", Deadline, "computed for 50ms without an end: the tenant's `max_cpu`"),
    ("/sleep", Deadline, "ran 600ms without an end: deadline of the route (raise `deadline`"),
    ("/spin-after-response", Deadline, "computed for 50ms"),
    ("/stalled-body", Deadline, "ran 600ms"),
    ("/empty-writes", Deadline, "without an end"),
    ("/endless-log", Deadline, "without an end"),
    ("/allocate", OutOfMemory, "wanted more than 16777216 bytes of memory: the tenant's `max_memory`"),
    ("/recurse", Trap, "the guest's stack overflowed"),
    ("/handles?count=100000", Trap, "trapped in a call to the host: "),
    ("/trap", Trap, "trapped: wasm `unreachable` instruction executed"),
    ("/panic", Trap, "trapped: wasm `unreachable` instruction executed"),
    ("/exit-1", Trap, "exited with status 1"),
    ("/exit-0", NoResponse, "called `exit(0)`"),
    ("/no-response", NoResponse, "returned without a response"),
    ("/error", NoResponse, "set an error instead of a response: ErrorCode::InternalError"),
    ("/trap-after-response", Trap, "trapped: "),
    ("/wrong-content-length", InvalidResponse, "wrote other than its `content-length` says"),
    ("/unfinished-body", InvalidResponse, "gave up its response body"),
    ("/large-response?bytes=1048577", ResponseTooLarge, "larger than 1048576 bytes: the tenant's `max_response_body`"),
    ("/endless-body", ResponseTooLarge, "larger than 1048576 bytes"),
    ("/huge-headers?count=257&bytes=1", ResponseTooLarge, "has 257 headers: the tenant's `max_headers` is 256"),
    ("/huge-headers?count=66&bytes=1000", ResponseTooLarge, "headers are 66396 bytes: the tenant's `max_header_bytes`"),
];

#[test]
fn each_mischief_ends_its_own_call_and_only_that() {
    on_a_worker(async {
        let invoker = invoker();
        for (path, reason, message) in ENDINGS {
            let mischief = tokio::task::spawn_local({
                let invoker = invoker.clone();
                async move { failure(&invoker, path, &SHORT).await }
            });
            let mut served = 0;
            while !mischief.is_finished() || served == 0 {
                let response = invoker.call(&COFFEE, order(), &LIMITS).await.expect("a neighbour is served");
                assert_eq!(response.status(), 201, "beside {path}");
                served += 1;
                tokio::task::yield_now().await;
            }
            let failure = mischief.await.expect("a task");
            assert_eq!(failure.reason, reason, "{path}: {failure}");
            assert!(failure.message.contains(message), "{path}: {failure}");
        }
    });
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
            "/handles?count=300",
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
        for _ in 0..3 {
            assert_eq!(ask("/count").await["count"], 1);
        }
    });
}
