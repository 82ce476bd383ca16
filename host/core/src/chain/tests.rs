use http::{HeaderValue, Method};

use super::*;

fn uri(text: &str) -> Uri {
    text.parse().expect("a URI")
}

#[test]
fn the_next_component_is_named_as_any_host_is() {
    for text in [
        "http://next.callgate.internal",
        "http://next.callgate.internal/orders/17?verbose=1",
        "http://NEXT.Callgate.internal/",
        "http://next.callgate.internal./",
        "http://next.callgate.internal:80/",
    ] {
        assert!(is_next(&uri(text)), "{text}");
    }
    for text in [
        "https://next.callgate.internal/",
        "http://next.callgate.internal:8080/",
        "http://next.callgate.internal:443/",
        "http://user@next.callgate.internal/",
        "http://:@next.callgate.internal/",
        "http://next.callgate.internal.example.com/",
        "http://prev.callgate.internal/",
        "http://x.next.callgate.internal/",
        "/orders/17",
    ] {
        assert!(!is_next(&uri(text)), "{text}");
    }
}

#[test]
fn no_spelling_of_the_name_goes_anywhere_else() {
    for host in
        ["next.callgate.internal", "NEXT.CALLGATE.INTERNAL", "next.callgate.internal.", "nExt.callgate.internal.."]
    {
        assert!(names_next(host), "{host}");
    }
    for host in ["callgate.internal", "next.callgate.internal.example.com", "xnext.callgate.internal", ""] {
        assert!(!names_next(host), "{host}");
    }
}

fn first() -> Request<Bytes> {
    Request::post("http://orders/orders/17?verbose=1")
        .header("waiter", "Ada")
        .header("x-kafka-topic", "acme.orders")
        .header("x-kafka-key", "17")
        .header("content-length", "5")
        .body(Bytes::from_static(b"hello"))
        .expect("a request")
}

fn sent(request: Request<()>) -> http::request::Parts {
    request.into_parts().0
}

#[test]
fn what_is_sent_arrives_and_the_record_is_described_again() {
    let request = Request::put("http://next.callgate.internal/other?a=b")
        .header("host", "next.callgate.internal")
        .header("connection", "close")
        .header("proxy-authorization", "x")
        .header("x-twice", "one")
        .header("x-kafka-topic", "shop.orders")
        .header("x-kafka-offset", "1")
        .header("x-kafka-other", "passes")
        .header("x-twice", "two")
        .header("content-length", "1")
        .body(())
        .expect("a request");
    let next = Origin::of(&first()).next_request(sent(request), Bytes::from_static(b"three"));
    assert_eq!(next.method(), Method::PUT);
    assert_eq!(next.uri(), "http://orders/other?a=b");
    let headers: Vec<_> = next.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let expected: [(&str, &[u8]); 6] = [
        ("x-twice", b"one"),
        ("x-twice", b"two"),
        ("x-kafka-other", b"passes"),
        ("x-kafka-topic", b"acme.orders"),
        ("x-kafka-key", b"17"),
        ("content-length", b"5"),
    ];
    assert_eq!(headers, expected);
    assert_eq!(next.body(), "three");
}

#[test]
fn a_request_without_path_or_body_is_one_too() {
    let request = Request::get("http://next.callgate.internal").body(()).expect("a request");
    let next = Origin::of(&first()).next_request(sent(request), Bytes::new());
    assert_eq!(next.uri(), "http://orders/");
    assert_eq!(next.headers().get("content-length"), Some(&HeaderValue::from_static("0")));
}
