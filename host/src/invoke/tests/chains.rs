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
