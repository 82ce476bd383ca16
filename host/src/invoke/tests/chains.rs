//! Middleware around a handler.

use base64::prelude::*;
use callgate_core::failure::Reason::{self, *};
use serde_json::json;

use super::*;

static MILK: LazyLock<Arc<Artifact>> = LazyLock::new(|| guest("milk"));

/// Time for what has an end, and not too much to wait for what has none.
const LITTLE_TIME: CallLimits = CallLimits { deadline: Duration::from_millis(500), ..LIMITS };

/// These components, by the names of their files in `out`, outermost first.
fn chain_of(names: &[&str], max_next_calls: u32) -> Arc<Callable> {
    let link = |name: &&str| Link {
        name: format!("{name}.wasm").into(),
        artifact: match *name {
            "milk" => MILK.clone(),
            "mischief" => MISCHIEF.chain[0].artifact.clone(),
            "mischief-p3" => MISCHIEF_P3.chain[0].artifact.clone(),
            "coffee-rust" => COFFEE.chain[0].artifact.clone(),
            name => guest(name),
        },
    };
    chain("coffee", names.iter().map(link).collect(), max_next_calls)
}

/// One mischief around another, and the file of the outer one has another name.
fn mischief_around_mischief(max_next_calls: u32) -> Arc<Callable> {
    let outer = Link { name: "outer.wasm".into(), ..MISCHIEF.chain[0].clone() };
    let inner = Link { name: "inner.wasm".into(), ..MISCHIEF.chain[0].clone() };
    chain("mischief", vec![outer, inner], max_next_calls)
}

async fn answer(callable: &Arc<Callable>, request: http::Request<Bytes>) -> (u16, Value) {
    let response = invoker().call(callable, request, &LIMITS).await.expect("a response");
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap_or_default())
}

/// What mischief tells of its one request to the next component.
async fn answers(max_next_calls: u32, request: http::Request<Bytes>) -> Vec<Value> {
    let (status, mut body) = answer(&mischief_around_mischief(max_next_calls), request).await;
    assert_eq!(status, 200);
    match body["answers"].take() {
        Value::Array(answers) => answers,
        other => panic!("{other}"),
    }
}

async fn failure_of(callable: &Arc<Callable>, path: &str, limits: &CallLimits) -> Failure {
    match invoker().call(callable, get(path), limits).await {
        Err(CallError::Failed(failure)) => failure,
        other => panic!("{path} ended with {other:?}"),
    }
}

fn decoded(answer: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(answer["body"].as_str().expect("a body")).expect("base64")
}

fn echoed(answer: &Value) -> Value {
    assert_eq!(answer["status"], 200, "{answer}");
    serde_json::from_slice(&decoded(answer)).expect("JSON")
}

#[test]
fn milk_is_added_to_what_the_handler_brews() {
    on_a_worker(async {
        for names in [&["milk", "coffee-rust"][..], &["milk", "milk", "coffee-rust"]] {
            let (status, coffee) = answer(&chain_of(names, 1), order()).await;
            assert_eq!(status, 201);
            assert_eq!((&coffee["drink"], &coffee["milk"]), (&json!("flat white"), &json!("steamed")));
        }
    });
}

#[test]
fn the_next_component_gets_what_is_sent_and_is_told_of_the_record() {
    let sent = json!({
        "method": "PUT", "path": "/echo/1?a=b", "body": BASE64_STANDARD.encode(vec![7_u8; 100_000]),
        "headers": [["x-own", "b25l"], ["x-kafka-topic", "c2hvcA=="], ["te", "dHJhaWxlcnM="]],
    });
    let request = http::Request::post("http://mischief/next-with")
        .header("x-kafka-topic", "acme.mischief")
        .header("x-kafka-offset", "17")
        .header("waiter", "Ada")
        .body(sent.to_string().into())
        .expect("a request");
    let seen = on_a_worker(async { echoed(&answers(1, request).await[0]) });
    assert_eq!(
        (&seen["method"], &seen["scheme"], &seen["authority"], &seen["path"]),
        (&json!("PUT"), &json!("http"), &json!("mischief"), &json!("/echo/1?a=b"))
    );
    let expected =
        [("x-own", "one"), ("x-kafka-topic", "acme.mischief"), ("x-kafka-offset", "17"), ("content-length", "100000")];
    let expected: Vec<_> = expected.iter().map(|(name, value)| json!([name, BASE64_STANDARD.encode(value)])).collect();
    assert_eq!(seen["headers"], json!(expected));
    assert_eq!(seen["body"], sent["body"]);
}

#[test]
fn each_component_has_an_instance_of_its_own_and_so_has_each_call() {
    on_a_worker(async {
        for answer in answers(3, get("/next?path=/count&times=3")).await {
            assert_eq!(echoed(&answer), json!({ "count": 1 }));
        }
        for answer in answers(3, get("/next-at-once?path=/count&times=3")).await {
            assert_eq!(echoed(&answer), json!({ "count": 1 }));
        }
    });
}

#[test]
fn a_call_too_many_is_refused_and_the_others_are_answered() {
    on_a_worker(async {
        for path in ["/next?path=/status/204&times=3", "/next-at-once?path=/status/204&times=3"] {
            let answers = answers(2, get(path)).await;
            assert_eq!((&answers[0]["status"], &answers[1]["status"]), (&json!(204), &json!(204)));
            assert_eq!(answers[2]["error"], "ErrorCode::ConnectionLimitReached", "{answers:?}");
        }
    });
}

#[test]
fn a_middleware_may_answer_itself() {
    on_a_worker(async {
        assert_eq!(answer(&mischief_around_mischief(1), get("/status/403")).await.0, 403);
    });
}

#[test]
fn any_status_of_the_next_component_is_an_answer() {
    on_a_worker(async {
        for status in [201, 302, 404, 503] {
            let answers = answers(1, get(&format!("/next?path=/status/{status}"))).await;
            assert_eq!(answers[0]["status"], status);
        }
    });
}

#[test]
fn a_failure_further_in_is_the_whole_call_s_and_names_the_component() {
    let failures: [(&str, Reason, &str); 12] = [
        ("/trap", Trap, "trapped: wasm `unreachable`"),
        ("/exit-1", Trap, "exited with status 1"),
        ("/trap-after-response", Trap, "trapped: "),
        ("/allocate", OutOfMemory, "wanted more than 16777216 bytes of memory"),
        ("/recurse", Trap, "the guest's stack overflowed"),
        ("/no-response", NoResponse, "returned without a response"),
        ("/exit-0", NoResponse, "called `exit(0)`"),
        ("/error", NoResponse, "set an error instead of a response"),
        ("/unfinished-body", InvalidResponse, "gave up its response body"),
        ("/endless-body", ResponseTooLarge, "larger than 1048576 bytes"),
        ("/huge-headers?count=66", ResponseTooLarge, "are 66396 bytes"),
        ("/sleep", Deadline, "ran 500ms"),
    ];
    on_a_worker(async {
        for (path, reason, message) in failures {
            for way in ["/next?path=", "/next-unwaited?path=", "/next-after-response?path="] {
                let failure = failure_of(&mischief_around_mischief(1), &format!("{way}{path}"), &LITTLE_TIME).await;
                assert_eq!(failure.reason, reason, "{way}{path}: {failure}");
                assert!(failure.message.starts_with("inner.wasm: ") && failure.message.contains(message), "{failure}");
                assert_eq!(failure.component.as_ref(), Some(MISCHIEF.digest()));
            }
        }
        let failure = failure_of(&chain_of(&["milk", "milk", "mischief"], 1), "/trap", &LIMITS).await;
        assert!(failure.message.starts_with("mischief.wasm: trapped: "), "{failure}");
        assert_eq!(failure.component.as_ref(), Some(MISCHIEF.digest()));
    });
}

#[test]
fn a_failure_further_out_names_that_component() {
    on_a_worker(async {
        let limits = CallLimits { max_cpu: Duration::from_millis(50), ..LIMITS };
        for (path, reason) in
            [("/next-then-trap?path=/status/200", Trap), ("/spin", Deadline), ("/no-response", NoResponse)]
        {
            let failure = failure_of(&mischief_around_mischief(1), path, &limits).await;
            assert_eq!(failure.reason, reason, "{path}: {failure}");
            assert!(failure.message.starts_with("outer.wasm: "), "{failure}");
        }
    });
}

#[test]
fn deadline_cpu_and_memory_are_those_of_the_whole_chain() {
    on_a_worker(async {
        let callable = mischief_around_mischief(50);
        let short = CallLimits { deadline: Duration::from_millis(400), ..LIMITS };
        let failure = failure_of(&callable, "/next?path=/sleep?ms=150&times=4", &short).await;
        assert_eq!((failure.reason, &failure.message[..10]), (Deadline, "inner.wasm"));
        let little = CallLimits { max_cpu: Duration::from_millis(100), ..LIMITS };
        let failure = failure_of(&callable, "/next?path=/spin?ms=40&times=50", &little).await;
        assert_eq!((failure.reason, &failure.message[..10]), (Deadline, "inner.wasm"));
        // As much as one of them needs is not enough for two.
        let fits = async |callable: &Arc<Callable>, path: &str, max_memory: usize| {
            invoker().call(callable, get(path), &CallLimits { max_memory, ..LIMITS }).await.is_ok()
        };
        let mut enough = 64 << 10;
        while !fits(&MISCHIEF, "/status/200", enough).await {
            enough += 64 << 10;
        }
        let small = CallLimits { max_memory: enough, ..LIMITS };
        let failure = failure_of(&callable, "/next?path=/status/200", &small).await;
        assert_eq!((failure.reason, &failure.message[..10]), (OutOfMemory, "inner.wasm"));
        assert!(fits(&callable, "/next?path=/status/200", 3 * enough).await);
        // And what one has given back is there for the next.
        let answers = answers(4, get("/next?path=/allocate?mib=8&times=4")).await;
        assert!(answers.iter().all(|answer| answer["status"] == 200), "{answers:?}");
    });
}

#[test]
fn answers_that_are_kept_unread_count_as_memory() {
    on_a_worker(async {
        let callable = mischief_around_mischief(100);
        let failure = failure_of(&callable, "/next-at-once?path=/large-response?bytes=1000000&times=20", &LIMITS).await;
        assert_eq!(failure.reason, OutOfMemory, "{failure}");
        assert_eq!(answer(&callable, get("/next-unread?path=/large-response?bytes=1000000")).await.0, 200);
    });
}

#[test]
fn a_request_that_is_given_up_or_too_large_is_an_error_for_whoever_sent_it() {
    on_a_worker(async {
        let given_up = answers(1, get("/next-unfinished?path=/echo")).await;
        assert!(given_up[0]["error"].is_string(), "{given_up:?}");
        let limits = CallLimits { max_request_body: 1000, ..LIMITS };
        let request = post("/next?path=/echo", vec![b'x'; 1001]);
        let response = invoker().call(&mischief_around_mischief(1), request, &limits).await.expect("a response");
        let told: Value = serde_json::from_slice(response.body()).expect("JSON");
        assert!(told["answers"][0]["error"].to_string().contains("HttpRequestBodySize"), "{told}");
    });
}

#[test]
fn the_name_is_refused_where_there_is_no_next_one_and_in_other_spellings() {
    on_a_worker(async {
        let refused = "ErrorCode::HttpRequestDenied";
        for url in [
            "http://next.callgate.internal/echo",
            "http://next.callgate.internal:80/echo",
            "http://NEXT.callgate.INTERNAL./echo",
            "https://next.callgate.internal/echo",
        ] {
            assert_eq!(ask(&format!("/outbound?url={url}")).await["error"], refused, "{url}");
        }
        let callable = mischief_around_mischief(1);
        for url in [
            "https://next.callgate.internal/status/204",
            "http://next.callgate.internal:8080/status/204",
            "http://user@next.callgate.internal/status/204",
            "http://x.next.callgate.internal/status/204",
        ] {
            let (_, told) = answer(&callable, get(&format!("/outbound?url={url}"))).await;
            assert_eq!(told["error"], refused, "{url}");
        }
        for url in ["http://NEXT.callgate.internal./status/204", "http://next.callgate.internal:80/status/204"] {
            let (_, told) = answer(&callable, get(&format!("/outbound?url={url}"))).await;
            assert_eq!(told["status"], 204, "{url}: {told}");
        }
        // The innermost one has no next either.
        let answers = answers(1, get("/next?path=/outbound?url=http://next.callgate.internal/echo")).await;
        assert_eq!(echoed(&answers[0])["error"], refused);
    });
}

#[test]
fn a_chain_takes_all_its_slots_at_once() {
    on_a_worker(async {
        let invoker = invoker_with(3);
        let chain = mischief_around_mischief(1);
        let first = tokio::task::spawn_local({
            let (invoker, chain) = (invoker.clone(), chain.clone());
            async move { invoker.call(&chain, get("/next?path=/sleep?ms=100"), &LIMITS).await }
        });
        tokio::task::yield_now().await;
        let second = invoker.call(&chain, get("/next?path=/status/200"), &LIMITS).await;
        assert!(matches!(second, Err(CallError::Overload(_))), "{second:?}");
        assert_eq!(invoker.call(&COFFEE, order(), &LIMITS).await.expect("a response").status(), 201);
        assert_eq!(first.await.expect("a task").expect("a response").status(), 200);
    });
}

#[test]
fn a_dropped_chain_gives_back_its_slots() {
    on_a_worker(async {
        let invoker = invoker_with(2);
        let chain = mischief_around_mischief(1);
        for path in ["/next?path=/sleep", "/next?path=/spin", "/sleep"] {
            let call = invoker.call(&chain, get(path), &LIMITS);
            tokio::time::timeout(Duration::from_millis(50), call).await.expect_err("it has no end");
            let response = invoker.call(&chain, get("/next?path=/status/200"), &LIMITS).await;
            assert_eq!(response.expect("a response").status(), 200, "after {path}");
        }
    });
}

/// Middleware and handlers of both versions of WASI, around each other.
const MIXED: [&[&str]; 7] = [
    &["milk-p3", "coffee-rust-p3"],
    &["milk-p3", "coffee-rust"],
    &["milk", "coffee-rust-p3"],
    &["milk", "milk-p3", "coffee-rust"],
    &["milk-p3", "milk", "coffee-rust-p3"],
    &["milk-p3", "milk-p3", "coffee-rust-p3"],
    &["milk", "milk", "coffee-rust-p3"],
];

#[test]
fn components_of_both_versions_of_wasi_wrap_each_other() {
    on_a_worker(async {
        for names in MIXED {
            let (status, coffee) = answer(&chain_of(names, 1), order()).await;
            let expected = (201, &"flat white".into(), &"steamed".into(), &"/orders/17".into());
            assert_eq!((status, &coffee["drink"], &coffee["milk"], &coffee["ordered_at"]), expected, "{names:?}");
            let broken = http::Request::post("http://coffee/orders/17")
                .body(r#"{"drink":"latte","machine":"broken"}"#.into())
                .expect("a request");
            assert_eq!(answer(&chain_of(names, 1), broken).await.0, 503, "{names:?}");
        }
    });
}

#[test]
fn a_failure_further_in_is_the_whole_call_s_in_both_versions_of_wasi() {
    const SHORT: CallLimits = CallLimits { deadline: Duration::from_millis(200), ..LIMITS };
    on_a_worker(async {
        let invoker = invoker();
        for outer in ["milk", "milk-p3"] {
            for inner in ["mischief", "mischief-p3"] {
                let callable = chain_of(&[outer, inner], 1);
                for (path, limits, reason) in [
                    ("/trap", LIMITS, Trap),
                    ("/allocate", LIMITS, OutOfMemory),
                    ("/exit-0", LIMITS, NoResponse),
                    ("/spin", SHORT, Deadline),
                    ("/sleep", SHORT, Deadline),
                    ("/endless-body", LIMITS, ResponseTooLarge),
                ] {
                    let ended = invoker.call(&callable, get(path), &limits).await;
                    let Err(CallError::Failed(failure)) = ended else { panic!("{outer} {inner} {path}: {ended:?}") };
                    assert_eq!(failure.reason, reason, "{outer} {inner} {path}");
                    assert!(failure.message.starts_with(&format!("{inner}.wasm: ")), "{failure}");
                    assert_eq!(failure.component.as_ref(), Some(callable.chain[1].artifact.digest()));
                }
            }
        }
    });
}
