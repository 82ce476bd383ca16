//! Guests of WASI 0.3: every way in which a call ends, what they see, and what they share with their neighbours.

use std::time::Instant;

use callgate_core::failure::Reason::{self, *};
use callgate_core::route::Instances;
use serde_json::json;

use super::memory::{Budget, Memory};
use super::profile::Profile;
use super::*;

/// For guests that have no end: each limit by itself, so that a busy machine does not decide which one is met first.
const LITTLE_TIME: CallLimits = CallLimits { deadline: Duration::from_millis(300), ..LIMITS };
const LITTLE_CPU: CallLimits = CallLimits { max_cpu: Duration::from_millis(50), ..LIMITS };

/// Everything that mischief does wrong, and what it is called.
const ENDINGS: [(&str, CallLimits, Reason, &str); 28] = [
    ("/spin", LITTLE_CPU, Deadline, "computed for 50ms without an end: the tenant's `max_cpu`"),
    ("/spin", LITTLE_TIME, Deadline, "ran 300ms without an end: deadline of the route"),
    ("/sleep", LITTLE_TIME, Deadline, "ran 300ms without an end: deadline of the route"),
    ("/wait", LITTLE_TIME, Deadline, "ran 300ms without an end"),
    ("/yield", LITTLE_TIME, Deadline, "ran 300ms without an end"),
    ("/timers?count=1000", LITTLE_TIME, Deadline, "ran 300ms without an end"),
    ("/timers?count=20000", LIMITS, Trap, "trapped"),
    ("/stalled-body", LITTLE_TIME, Deadline, "ran 300ms without an end"),
    ("/unfinished-body", LITTLE_TIME, Deadline, "ran 300ms without an end"),
    ("/endless-log", LITTLE_CPU, Deadline, "computed for 50ms"),
    ("/empty-writes", LITTLE_CPU, Deadline, "computed for 50ms"),
    ("/spin-after-response", LITTLE_CPU, Deadline, "computed for 50ms"),
    ("/sleep-after-response", LITTLE_TIME, Deadline, "ran 300ms without an end"),
    ("/allocate", LIMITS, OutOfMemory, "wanted more than 16777216 bytes of memory: the tenant's `max_memory`"),
    ("/recurse", LIMITS, Trap, "the guest's stack overflowed"),
    ("/handles?count=10000", LIMITS, Trap, "trapped"),
    ("/trap", LIMITS, Trap, "trapped: wasm `unreachable` instruction executed"),
    ("/panic", LIMITS, Trap, "trapped: wasm `unreachable` instruction executed"),
    ("/exit-1", LIMITS, Trap, "exited with status 1"),
    ("/exit-0", LIMITS, NoResponse, "called `exit(0)`"),
    ("/error", LIMITS, NoResponse, "set an error instead of a response: ErrorCode::InternalError"),
    ("/trap-after-response", LIMITS, Trap, "trapped: "),
    ("/wrong-content-length", LIMITS, InvalidResponse, "wrote other than its `content-length` says"),
    ("/given-up-body", LIMITS, InvalidResponse, "gave up its response body"),
    ("/large-response?bytes=1048577", LIMITS, ResponseTooLarge, "larger than 1048576 bytes: the tenant's"),
    ("/endless-body", LIMITS, ResponseTooLarge, "larger than 1048576 bytes: the tenant's `max_response_body`"),
    ("/huge-headers?count=257&bytes=1", LIMITS, ResponseTooLarge, "has 257 headers: the tenant's `max_headers` is 256"),
    ("/huge-headers?count=66&bytes=1000", LIMITS, ResponseTooLarge, "are 66396 bytes: the tenant's `max_header_bytes`"),
];

#[test]
fn each_mischief_ends_its_own_call_and_only_that() {
    on_a_worker(async {
        let invoker = invoker();
        for (path, limits, reason, message) in ENDINGS {
            let mischief = tokio::task::spawn_local({
                let invoker = invoker.clone();
                async move { failure_of(&MISCHIEF_P3, &invoker, path, &limits).await }
            });
            let mut served = 0;
            while !mischief.is_finished() || served == 0 {
                for neighbour in [&COFFEE, &COFFEE_P3] {
                    let response = invoker.call(neighbour, order(), &LIMITS).await.expect("a neighbour is served");
                    assert_eq!(response.status(), 201, "beside {path}");
                }
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
fn a_task_that_ends_without_an_answer_gives_no_response() {
    let (error, memory) = (wasmtime::Trap::NoAsyncResult.into(), Memory::new(Arc::new(Budget::new(1 << 20))));
    let CallError::Failed(failure) = outcome::error(&error, &memory, &LIMITS) else { panic!("a failure") };
    assert_eq!((failure.reason, &*failure.message), (NoResponse, "the handler returned without a response"));
}

#[test]
fn what_is_within_the_limits_is_served() {
    on_a_worker(async {
        let invoker = invoker();
        for (path, bytes) in [
            ("/large-response?bytes=1048576", 1 << 20),
            ("/huge-headers?count=255&bytes=1", 0),
            ("/allocate?mib=8", 0),
            ("/handles?count=300", 0),
            ("/spin?ms=50", 0),
            ("/sleep?ms=50", 0),
            ("/trailers", 5),
            ("/late-response?ms=50", 7),
            ("/sleep-after-response?ms=50", 11),
        ] {
            let response = invoker.call(&MISCHIEF_P3, get(path), &LIMITS).await.expect(path);
            assert_eq!(response.status(), 200, "{path}");
            assert_eq!(response.body().len(), bytes, "{path}");
        }
    });
}

#[test]
fn a_call_ends_when_all_is_done_that_it_began() {
    let took = on_a_worker(async {
        let invoker = invoker();
        let began = Instant::now();
        let response = invoker.call(&MISCHIEF_P3, get("/sleep-after-response?ms=300"), &LIMITS).await;
        assert_eq!(response.expect("a response").body(), "all is well");
        began.elapsed()
    });
    assert!(took >= Duration::from_millis(300), "{took:?}");
}

#[test]
fn a_body_is_passed_on_as_the_stream_that_it_is() {
    let body: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let response = on_a_worker(async {
        let request = post("/pass-on", body.clone());
        invoker().call(&MISCHIEF_P3, request, &LIMITS).await.expect("a response")
    });
    assert!(response.body() == &body, "{} bytes", response.body().len());
}

#[test]
fn the_request_arrives_as_it_was_sent() {
    let body: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let request = http::Request::put("http://orders/echo/%2e?verbose=a%20b")
        .header("x-twice", "one")
        .header("x-twice", "two")
        .header("x-bytes", http::HeaderValue::from_bytes(b"caf\xe9").expect("a value"))
        .body(body.clone().into())
        .expect("a request");
    let response = on_a_worker(async { invoker().call(&MISCHIEF_P3, request, &LIMITS).await.expect("a response") });
    let seen: Value = serde_json::from_slice(response.body()).expect("JSON");
    assert_eq!(seen["method"], json!("PUT"));
    assert_eq!(seen["scheme"], json!("http"));
    assert_eq!(seen["authority"], json!("orders"));
    assert_eq!(seen["path"], json!("/echo/%2e?verbose=a%20b"));
    assert_eq!(seen["headers"], json!([["x-twice", "b25l"], ["x-twice", "dHdv"], ["x-bytes", "Y2Fm6Q=="]]));
    use base64::prelude::*;
    assert_eq!(seen["body"], json!(BASE64_STANDARD.encode(body)));
}

#[test]
fn nothing_of_the_host_is_visible() {
    on_a_worker(async {
        let ask = async |path| ask_of(&MISCHIEF_P3, path).await;
        assert_eq!(ask("/env").await, json!({ "LOG_LEVEL": "debug" }));
        assert_eq!(ask("/arguments").await, json!({ "arguments": [] }));
        assert_eq!(ask("/stdin").await, json!({ "stdin": "" }));
        assert_eq!(ask("/filesystem").await["preopens"], json!([]));
        assert!(ask("/filesystem").await["error"].is_string());
        let sockets = ask("/socket").await;
        assert_eq!(sockets["connect"]["error"], json!("ErrorCode::AccessDenied"), "{sockets}");
        assert_eq!(sockets["lookup"]["error"], json!("ErrorCode::PermanentResolverFailure"), "{sockets}");
        let outbound = ask("/outbound?url=http://127.0.0.1:9/").await;
        assert!(outbound["error"].as_str().is_some_and(|error| error.contains("HttpRequestDenied")), "{outbound}");
        let wall = ask("/clock").await["wall_ms"].as_u64().expect("a time");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_millis();
        assert!(now.abs_diff(wall.into()) < 60_000, "{wall} is not {now}");
        assert_ne!(ask("/random").await, ask("/random").await);
        for _ in 0..3 {
            assert_eq!(ask("/count").await["count"], 1, "every call has an instance of its own");
        }
    });
}

#[test]
fn a_worker_without_handlers_of_wasi_0_3_has_no_engine_for_them() {
    on_a_worker(async {
        let invoker = invoker();
        invoker.call(&COFFEE, order(), &LIMITS).await.expect("a response");
        assert!(!invoker.is_set_up_for(Profile::P3));
        invoker.call(&COFFEE_P3, order(), &LIMITS).await.expect("a response");
        assert!(invoker.is_set_up_for(Profile::P3));
    });
}

#[test]
fn a_dropped_call_gives_back_its_slot() {
    on_a_worker(async {
        let invoker = invoker_with(1);
        for path in ["/sleep", "/spin", "/wait", "/stalled-body", "/spin-after-response"] {
            for _ in 0..3 {
                let call = invoker.call(&MISCHIEF_P3, get(path), &LIMITS);
                tokio::time::timeout(Duration::from_millis(30), call).await.expect_err("it has no end");
                for neighbour in [&COFFEE, &COFFEE_P3] {
                    let response = invoker.call(neighbour, order(), &LIMITS).await.expect("a response");
                    assert_eq!(response.status(), 201, "after {path}");
                }
            }
        }
    });
}

#[test]
fn slots_are_those_of_both_versions_together() {
    on_a_worker(async {
        let invoker = invoker_with(1);
        let first = tokio::task::spawn_local({
            let invoker = invoker.clone();
            async move { invoker.call(&MISCHIEF_P3, get("/sleep?ms=100"), &LIMITS).await }
        });
        tokio::task::yield_now().await;
        let second = invoker.call(&COFFEE, order(), &LIMITS).await;
        assert!(matches!(second, Err(CallError::Overload(_))), "{second:?}");
        assert_eq!(first.await.expect("a task").expect("a response").status(), 200);
        assert_eq!(invoker.call(&COFFEE, order(), &LIMITS).await.expect("a response").status(), 201);
    });
}

#[test]
fn spinning_and_waiting_guests_of_both_versions_end_on_every_worker() {
    let worker = || {
        on_a_worker(async {
            let invoker = invoker();
            let mut calls = Vec::new();
            for mischief in [&*MISCHIEF, &*MISCHIEF_P3] {
                for path in ["/spin", "/sleep", "/spin-after-response"] {
                    let invoker = invoker.clone();
                    let call = async move { failure_of(mischief, &invoker, path, &LITTLE_TIME).await.reason };
                    calls.push((path, tokio::task::spawn_local(call)));
                }
            }
            for (path, call) in calls {
                assert_eq!(call.await.expect("a task"), Deadline, "{path}");
            }
        });
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(worker);
        }
    });
}

#[test]
fn an_instance_serves_again_when_all_is_done_that_it_began() {
    const REUSE: Instances = Instances::Reuse { records: 4 };
    on_a_worker(async {
        let invoker = invoker();
        let callable = callable("mischief", MISCHIEF_P3.chain[0].artifact.clone());
        let call = async |path| invoker.call_in(&callable, get(path), &LIMITS, REUSE, &mut Attempts::default()).await;
        let count = async || {
            let response = call("/count").await.expect("a response");
            serde_json::from_slice::<Value>(response.body()).expect("JSON")["count"].clone()
        };
        assert_eq!([count().await, count().await], [1, 2]);
        // Each of them is a record, too.
        assert_eq!(call("/sleep-after-response?ms=20").await.expect("a response").body(), "all is well");
        assert_eq!(count().await, 3);
        assert_eq!(count().await, 1, "after four records");
        for path in ["/trap", "/trap-after-response", "/exit-0", "/wrong-content-length", "/error"] {
            count().await;
            let _ = call(path).await;
            assert_eq!(count().await, 1, "after {path}");
            invoker.evict_idle();
        }
    });
}

#[test]
fn failing_calls_leave_nothing_behind() {
    on_a_worker(async {
        let invoker = invoker_with(2);
        for round in 0..200 {
            for path in ["/allocate", "/trap", "/exit-1", "/endless-body", "/handles?count=10000"] {
                failure_of(&MISCHIEF_P3, &invoker, path, &LIMITS).await;
            }
            let response = invoker.call(&COFFEE_P3, order(), &LIMITS).await.expect("a response");
            assert_eq!(response.status(), 201, "round {round}");
        }
    });
}

#[test]
fn a_middleware_without_a_handler_is_refused() {
    let refused = |callable: &Arc<Callable>| {
        let trial = Trial::new(&settings(), &WATCHDOG).expect("a trial");
        trial.instantiate(callable, &LIMITS).err().map(|(_, error)| error.to_string())
    };
    let milk = guest("milk-p3");
    let alone = refused(&callable("milk", milk.clone())).expect("a refusal");
    assert!(
        alone.contains("imports `wasi:http/handler@0.3.x`, the handler that it wraps, and there is none"),
        "{alone}"
    );
    let link = |artifact: &Arc<Artifact>| Link { name: "a.wasm".into(), artifact: artifact.clone() };
    let handler = &COFFEE_P3.chain[0].artifact;
    assert_eq!(refused(&chain("milk", vec![link(&milk), link(handler)], 1)), None);
    assert!(refused(&chain("milk", vec![link(handler), link(&milk)], 1)).is_some());
}
