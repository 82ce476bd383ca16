//! Middleware around a handler.

use callgate_core::failure::Reason;

use super::*;

static MILK: LazyLock<Arc<Artifact>> = LazyLock::new(|| guest("milk"));

/// These components, by the names of their files in `out`, outermost first.
fn chain_of(names: &[&str], max_next_calls: u32) -> Arc<Callable> {
    let link = |name: &&str| Link {
        name: format!("{name}.wasm").into(),
        artifact: match *name {
            "milk" => MILK.clone(),
            "mischief" => MISCHIEF.chain[0].artifact.clone(),
            "mischief-p3" => MISCHIEF_P3.chain[0].artifact.clone(),
            name => guest(name),
        },
    };
    chain("coffee", names.iter().map(link).collect(), max_next_calls)
}

async fn call(callable: &Arc<Callable>, request: http::Request<Bytes>) -> (u16, Value) {
    let response = invoker().call(callable, request, &LIMITS).await.expect("a response");
    (response.status().as_u16(), serde_json::from_slice(response.body()).expect("JSON"))
}

#[test]
fn milk_is_added_to_what_the_handler_brews() {
    on_a_worker(async {
        let (status, coffee) = call(&chain_of(&["milk", "coffee-rust"], 1), order()).await;
        assert_eq!((status, &coffee["drink"], &coffee["milk"]), (201, &"flat white".into(), &"steamed".into()));
        let (status, coffee) = call(&chain_of(&["milk", "milk", "coffee-rust"], 1), order()).await;
        assert_eq!((status, &coffee["milk"]), (201, &"steamed".into()));
    });
}

#[test]
fn a_failure_further_in_is_the_whole_call_s() {
    on_a_worker(async {
        let callable = chain_of(&["milk", "mischief"], 1);
        let ended = invoker().call(&callable, get("/trap"), &LIMITS).await;
        let Err(CallError::Failed(failure)) = ended else { panic!("{ended:?}") };
        assert_eq!(failure.reason, Reason::Trap);
        assert!(failure.message.starts_with("mischief.wasm: trapped: "), "{failure}");
        assert_eq!(failure.component.as_ref(), Some(MISCHIEF.digest()));
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
            let (status, coffee) = call(&chain_of(names, 1), order()).await;
            let expected = (201, &"flat white".into(), &"steamed".into(), &"/orders/17".into());
            assert_eq!((status, &coffee["drink"], &coffee["milk"], &coffee["ordered_at"]), expected, "{names:?}");
            let broken = http::Request::post("http://coffee/orders/17")
                .body(r#"{"drink":"latte","machine":"broken"}"#.into())
                .expect("a request");
            assert_eq!(call(&chain_of(names, 1), broken).await.0, 503, "{names:?}");
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
                    ("/trap", LIMITS, Reason::Trap),
                    ("/allocate", LIMITS, Reason::OutOfMemory),
                    ("/exit-0", LIMITS, Reason::NoResponse),
                    ("/spin", SHORT, Reason::Deadline),
                    ("/sleep", SHORT, Reason::Deadline),
                    ("/endless-body", LIMITS, Reason::ResponseTooLarge),
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
