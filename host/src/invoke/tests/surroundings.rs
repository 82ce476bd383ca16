//! What a guest sees of the world.

use serde_json::json;

use super::*;

#[test]
fn the_request_arrives_as_it_was_sent() {
    let body: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let request = http::Request::put("http://orders/echo/%2e?verbose=a%20b")
        .header("x-twice", "one")
        .header("x-twice", "two")
        .header("x-bytes", http::HeaderValue::from_bytes(b"caf\xe9").expect("a value"))
        .body(body.clone().into())
        .expect("a request");
    let response = on_a_worker(async { invoker().call(&MISCHIEF, request, &LIMITS).await.expect("a response") });
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
        assert_eq!(ask("/env").await, json!({ "LOG_LEVEL": "debug" }));
        assert_eq!(ask("/arguments").await, json!({ "arguments": [] }));
        assert_eq!(ask("/stdin").await, json!({ "stdin": "" }));
        assert_eq!(ask("/filesystem").await["preopens"], json!([]));
        assert!(ask("/filesystem").await["error"].is_string());
        let sockets = ask("/socket").await;
        assert_eq!(sockets["connect"]["error"], json!("access-denied"), "{sockets}");
        assert!(sockets["lookup"]["error"].is_string(), "{sockets}");
        let outbound = ask("/outbound?url=http://127.0.0.1:9/").await;
        assert!(outbound["error"].as_str().is_some_and(|error| error.contains("HttpRequestDenied")), "{outbound}");
    });
}

#[test]
fn clocks_and_random_numbers_are_real() {
    on_a_worker(async {
        let wall = ask("/clock").await["wall_ms"].as_u64().expect("a time");
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_millis() as u64;
        assert!(now.abs_diff(wall) < 60_000, "{wall} is not {now}");
        assert_ne!(ask("/random").await, ask("/random").await);
    });
}
