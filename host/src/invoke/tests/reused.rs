//! Instances that serve more than one record.

use callgate_core::failure::Reason::{self, *};
use callgate_core::route::Instances;

use super::*;

const REUSE: Instances = Instances::Reuse { records: 4 };

/// A version of mischief of its own: what one test finds out of it is not another's.
fn version() -> Arc<Callable> {
    callable("mischief", MISCHIEF.chain[0].artifact.clone())
}

/// The first call for a record.
async fn call(invoker: &Invoker, callable: &Arc<Callable>, path: &str) -> Result<http::Response<Bytes>, CallError> {
    invoker.call_in(callable, get(path), &LIMITS, REUSE, &mut Attempts::default()).await
}

async fn count(invoker: &Invoker, callable: &Arc<Callable>) -> u64 {
    let response = call(invoker, callable, "/count").await.expect("a response");
    let told: Value = serde_json::from_slice(response.body()).expect("JSON");
    told["count"].as_u64().expect("a number")
}

#[test]
fn an_instance_serves_as_many_records_as_the_route_says() {
    on_a_worker(async {
        let (invoker, callable) = (invoker(), version());
        let mut counts = Vec::new();
        for _ in 0..6 {
            counts.push(count(&invoker, &callable).await);
        }
        assert_eq!(counts, [1, 2, 3, 4, 1, 2]);
        // A route that asks for fresh ones gets them.
        let response = invoker.call(&callable, get("/count"), &LIMITS).await.expect("a response");
        assert_eq!(response.body(), r#"{"count":1}"#);
        assert_eq!(count(&invoker, &callable).await, 3);
    });
}

#[test]
fn an_instance_serves_one_version_on_one_worker() {
    on_a_worker(async {
        let (invoker, first, second) = (invoker(), version(), version());
        assert_eq!([count(&invoker, &first).await, count(&invoker, &first).await], [1, 2]);
        assert_eq!(count(&invoker, &second).await, 1);
        assert_eq!(count(&invoker, &first).await, 3);
        assert_eq!(count(&invoker_with(4), &first).await, 1);
    });
}

#[test]
fn calls_at_once_have_an_instance_each() {
    on_a_worker(async {
        let (invoker, callable) = (invoker(), version());
        assert_eq!(count(&invoker, &callable).await, 1);
        let waits = tokio::task::spawn_local({
            let (invoker, callable) = (invoker.clone(), callable.clone());
            async move { call(&invoker, &callable, "/sleep?ms=50").await.map(|response| response.status()) }
        });
        tokio::task::yield_now().await;
        assert_eq!(count(&invoker, &callable).await, 1);
        assert_eq!(waits.await.expect("a task").expect("a response"), 200);
    });
}

#[test]
fn an_instance_that_failed_serves_no_more() {
    on_a_worker(async {
        let (invoker, callable) = (invoker(), version());
        for path in
            ["/trap", "/no-response", "/exit-0", "/unfinished-body", "/status/500", "/large-response?bytes=2000000"]
        {
            count(&invoker, &callable).await;
            assert_eq!(count(&invoker, &callable).await, 2, "before {path}");
            let _ = call(&invoker, &callable, path).await;
            assert_eq!(count(&invoker, &callable).await, 1, "after {path}");
            invoker.evict_idle();
        }
        // A refusal is no failure.
        count(&invoker, &callable).await;
        assert_eq!(call(&invoker, &callable, "/status/404").await.expect("a response").status(), 404);
        assert_eq!(count(&invoker, &callable).await, 2);
    });
}

#[test]
fn an_instance_whose_call_is_dropped_serves_no_more() {
    on_a_worker(async {
        let (invoker, callable) = (invoker(), version());
        assert_eq!(count(&invoker, &callable).await, 1);
        let limits = CallLimits { deadline: Duration::from_millis(50), ..LIMITS };
        let ended = invoker.call_in(&callable, get("/sleep"), &limits, REUSE, &mut Attempts::default()).await;
        assert!(matches!(&ended, Err(CallError::Failed(failure)) if failure.reason == Deadline), "{ended:?}");
        assert_eq!(count(&invoker, &callable).await, 1);
        let ended = call(&invoker, &callable, "/sleep");
        tokio::time::timeout(Duration::from_millis(50), ended).await.expect_err("it has no end");
        assert_eq!(count(&invoker, &callable).await, 1);
    });
}

#[test]
fn limits_and_clocks_are_new_for_each_call() {
    on_a_worker(async {
        let (invoker, callable) = (invoker(), version());
        let limits = CallLimits { deadline: Duration::from_millis(400), max_cpu: Duration::from_millis(200), ..LIMITS };
        for path in ["/sleep?ms=250", "/sleep?ms=250", "/spin?ms=80", "/spin?ms=80"] {
            let ended = invoker.call_in(&callable, get(path), &limits, REUSE, &mut Attempts::default()).await;
            assert_eq!(ended.expect(path).status(), 200);
        }
    });
}

#[test]
fn memory_that_an_instance_does_not_give_back_counts_in_its_next_call() {
    on_a_worker(async {
        let (invoker, callable) = (invoker(), version());
        for call_before in 0..3 {
            assert_eq!(
                call(&invoker, &callable, "/leak?mib=4").await.expect("a response").status(),
                200,
                "{call_before}"
            );
        }
        let ended = call(&invoker, &callable, "/leak?mib=4").await;
        assert!(matches!(&ended, Err(CallError::Failed(failure)) if failure.reason == OutOfMemory), "{ended:?}");
        assert_eq!(count(&invoker, &callable).await, 1);
    });
}

#[test]
fn a_retry_gets_a_fresh_instance_and_after_three_that_helped_every_record_does() {
    let kinds: [(&str, Reason); 3] = [
        ("/traps-when-used-again", Trap),
        ("/silent-when-used-again", NoResponse),
        ("/spins-when-used-again", Deadline),
    ];
    for (path, reason) in kinds {
        on_a_worker(async {
            let limits = CallLimits { max_cpu: Duration::from_millis(50), ..LIMITS };
            let (invoker, callable) = (invoker(), version());
            assert_eq!(call(&invoker, &callable, path).await.expect("a response").status(), 200);
            for record in 1..=3 {
                let mut attempts = Attempts::default();
                let first = invoker.call_in(&callable, get(path), &limits, REUSE, &mut attempts).await;
                assert!(matches!(&first, Err(CallError::Failed(failure)) if failure.reason == reason), "{first:?}");
                let second = invoker.call_in(&callable, get(path), &limits, REUSE, &mut attempts).await;
                assert_eq!(second.expect("a response").status(), 200);
                assert_eq!(attempts.gave_up_reuse(), record == 3);
            }
            for _ in 0..3 {
                assert_eq!(call(&invoker, &callable, path).await.expect("a response").status(), 200);
            }
        });
    }
}

#[test]
fn a_used_instance_that_answers_breaks_the_row_of_failures() {
    on_a_worker(async {
        let (invoker, callable) = (invoker(), version());
        for _ in 0..5 {
            count(&invoker, &callable).await;
            let mut attempts = Attempts::default();
            invoker.call_in(&callable, get("/trap"), &LIMITS, REUSE, &mut attempts).await.expect_err("a trap");
            let again = invoker.call_in(&callable, get("/count"), &LIMITS, REUSE, &mut attempts).await;
            assert_eq!(again.expect("a response").body(), r#"{"count":1}"#);
            assert!(!attempts.gave_up_reuse());
            assert_eq!(count(&invoker, &callable).await, 2);
            invoker.evict_idle();
        }
    });
}

#[test]
fn instances_that_wait_are_bounded_and_make_room() {
    on_a_worker(async {
        let settings = Settings { slots: 2, idle_memory: 6 << 20, ..settings() };
        let invoker = Rc::new(Invoker::new(&settings, &WATCHDOG).expect("an invoker"));
        let callable = version();
        count(&invoker, &callable).await;
        let one = invoker.idle_memory();
        assert!(one > 0 && one < 4 << 20, "{one}");
        // An instance with more than all may have is not kept.
        assert_eq!(call(&invoker, &version(), "/leak?mib=8").await.expect("a response").status(), 200);
        assert_eq!(invoker.idle_memory(), one);
        // What waits gives way to what is called.
        let others = [version(), version(), version()];
        for other in &others {
            count(&invoker, other).await;
        }
        assert!(invoker.idle_memory() <= 2 * one, "{}", invoker.idle_memory());
        let both: Vec<_> = (0..2)
            .map(|_| {
                let (invoker, callable) = (invoker.clone(), callable.clone());
                tokio::task::spawn_local(async move { call(&invoker, &callable, "/sleep?ms=50").await.map(drop) })
            })
            .collect();
        for call in both {
            call.await.expect("a task").expect("a response");
        }
        invoker.evict_idle();
        assert_eq!(invoker.idle_memory(), 0);
    });
}

#[test]
fn each_component_of_a_chain_is_reused_at_its_place() {
    on_a_worker(async {
        let link = MISCHIEF.chain[0].clone();
        let (invoker, callable) = (invoker(), chain("mischief", vec![link.clone(), link], 3));
        let inner = async |path: &str| -> Vec<u64> {
            let response = call(&invoker, &callable, path).await.expect("a response");
            let told: Value = serde_json::from_slice(response.body()).expect("JSON");
            let counts = told["answers"].as_array().expect("answers").iter().map(|answer| {
                use base64::prelude::*;
                let body = BASE64_STANDARD.decode(answer["body"].as_str().expect("a body")).expect("base64");
                let told: Value = serde_json::from_slice(&body).expect("JSON");
                told["count"].as_u64().expect("a number")
            });
            counts.collect()
        };
        assert_eq!(inner("/next?path=/count").await, [1]);
        assert_eq!(inner("/next?path=/count&times=2").await, [2, 3]);
        // The outer one has served two calls, and counted none of them.
        assert_eq!(count(&invoker, &callable).await, 1);
        call(&invoker, &callable, "/next?path=/trap").await.expect_err("a trap");
        assert_eq!(inner("/next?path=/count").await, [1]);
    });
}

/// What a probe of mischief finds out with that path.
fn probe(callable: &Callable, path: &str) -> Result<Probe, String> {
    let limits = CallLimits { max_cpu: Duration::from_millis(50), ..LIMITS };
    let trial = Trial::new(&Settings { slots: 4, ..settings() }, &WATCHDOG).expect("a trial");
    trial.reuse(callable, &limits, || get(path)).map_err(|error| error.to_string())
}

#[test]
fn a_version_that_does_not_bear_reuse_is_found_out() {
    for path in ["/status/200", "/status/404", "/count", "/log"] {
        assert_eq!(probe(&version(), path), Ok(Probe::Passed), "{path}");
    }
    for (path, sentence) in [
        ("/traps-when-used-again", "the first was answered, and number 2 was not: trapped: "),
        ("/silent-when-used-again", "number 2 was not: the handler returned without a response"),
        ("/spins-when-used-again", "number 2 was not: computed for 50ms"),
        ("/leak?mib=6", "number 3 was not: wanted more than 16777216 bytes"),
    ] {
        let refusal = probe(&version(), path).expect_err(path);
        assert!(refusal.contains(sentence), "{path}: {refusal}");
    }
    for path in ["/trap", "/no-response", "/status/503"] {
        let inconclusive = probe(&version(), path).expect(path);
        assert!(matches!(inconclusive, Probe::Inconclusive(_)), "{path}: {inconclusive:?}");
    }
}

#[test]
fn a_probe_counts_for_nothing_afterwards() {
    let callable = version();
    probe(&callable, "/traps-when-used-again").expect_err("a refusal");
    on_a_worker(async {
        let invoker = invoker();
        assert_eq!([count(&invoker, &callable).await, count(&invoker, &callable).await], [1, 2]);
    });
}
