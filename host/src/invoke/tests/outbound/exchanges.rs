//! What comes of requests to those who may be called, and to those who may not.

use std::time::Instant;

use super::*;

#[test]
fn a_request_goes_out_as_the_guest_means_it_and_the_response_comes_back() {
    let (server, network) = (Server::start(), local_network());
    let callable = caller_of(&server, &network);
    on_a_worker(async {
        let headers =
            json!([["x-twice", "one"], ["x-twice", "two"], ["te", "trailers"], ["authorization", "Bearer 1"]]);
        let wish = with(wish(&server, "/echo?q=a%20b"), json!({ "headers": headers, "method": "PATCH" }));
        let came = fetch_one(&invoker(), &callable, &wish).await;
        assert_eq!(came["status"], 200, "{came}");
        let expected = format!(
            "PATCH /echo?q=a%20b HTTP/1.1\r\nhost: api.test:{}\r\nx-twice: one\r\nx-twice: two\r\n\
             authorization: Bearer 1\r\n\r\n",
            server.port
        );
        assert_eq!(body(&came), expected);
        assert_eq!(outcomes(&network, "acme"), [("2xx", 1)]);
    });
}

#[test]
fn nobody_is_called_who_is_not_in_the_list() {
    let (server, network) = (Server::start(), local_network());
    let callable = caller_of(&server, &network);
    let nobody = caller("nobody", &[], OUTBOUND_LIMITS, &network);
    on_a_worker(async {
        let invoker = invoker();
        let port = server.port;
        let denied = [
            json!({ "authority": format!("other.test:{port}") }),
            json!({ "authority": format!("api.test.:{}", port ^ 1) }),
            json!({ "authority": "api.test" }),
            json!({ "authority": format!("api.test:{port}"), "scheme": "https" }),
            json!({ "authority": format!("api.test:{port}"), "method": "CONNECT" }),
            json!({ "authority": format!("sub.api.test:{port}") }),
            json!({ "authority": format!("127.0.0.1:{port}") }),
            json!({ "authority": "next.callgate.internal" }),
            json!({ "authority": format!("next.callgate.internal:{port}") }),
            json!({ "authority": "NEXT.callgate.internal.", "scheme": "https" }),
        ];
        for wish in &denied {
            assert!(error(&fetch_one(&invoker, &callable, wish).await).contains("HttpRequestDenied"), "{wish}");
        }
        let came = fetch_one(&invoker, &nobody, &wish(&server, "/hello")).await;
        assert!(error(&came).contains("HttpRequestDenied"), "{came}");
        assert_eq!(server.connections(), 0);
        // Those for the next component never get as far as the tenant's list.
        assert_eq!(outcomes(&network, "acme"), [("denied", denied.len() as u64 - 1)]);
        assert_eq!(outcomes(&network, "nobody"), [("denied", 1)]);
    });
}

#[test]
fn an_origin_is_found_in_whatever_case_it_is_written() {
    let (server, network) = (Server::start(), local_network());
    let callable = caller_of(&server, &network);
    on_a_worker(async {
        for authority in [format!("API.Test:{}", server.port), format!("api.test.:{}", server.port)] {
            let came = fetch_one(&invoker(), &callable, &json!({ "authority": authority, "path": "/echo" })).await;
            assert!(body(&came).contains(&format!("\r\nhost: api.test:{}\r\n", server.port)), "{came}");
        }
    });
}

#[test]
fn a_redirect_is_the_guests_to_follow() {
    let (server, network) = (Server::start(), local_network());
    let callable = caller_of(&server, &network);
    on_a_worker(async {
        let target = "http://169.254.169.254/latest/meta-data/";
        let came = fetch_one(&invoker(), &callable, &wish(&server, &format!("/redirect?{target}"))).await;
        assert_eq!(came["status"], 302, "{came}");
        assert!(came["headers"].to_string().contains(target), "{came}");
        assert_eq!(server.requests().len(), 1);
        assert_eq!(outcomes(&network, "acme"), [("3xx", 1)]);
    });
}

#[test]
fn connections_are_used_again_and_never_by_another_tenant() {
    let (server, network) = (Server::start(), local_network());
    let [acme, shop] = ["acme", "shop"].map(|tenant| {
        let origins = [allowed(&format!("http://api.test:{}", server.port), true)];
        caller(tenant, &origins, OUTBOUND_LIMITS, &network)
    });
    on_a_worker(async {
        let invoker = invoker();
        let wish = with(wish(&server, "/hello"), json!({ "times": 5 }));
        for _ in 0..2 {
            for came in fetch(&invoker, &acme, &wish).await {
                assert_eq!(body(&came), "hello");
            }
        }
        assert_eq!(server.connections(), 1);
        for came in fetch(&invoker, &shop, &wish).await {
            assert_eq!(body(&came), "hello");
        }
        assert_eq!(server.connections(), 2);
        assert_eq!(server.requests().len(), 15);
    });
}

#[test]
fn connections_are_bounded_and_an_idle_one_gives_way() {
    let (server, other, network) = (Server::start(), Server::start(), local_network());
    let origins = [&server, &other].map(|server| allowed(&format!("http://api.test:{}", server.port), true));
    let callable = caller("acme", &origins, OutboundLimits { connections: 2, ..OUTBOUND_LIMITS }, &network);
    on_a_worker(async {
        let invoker = invoker();
        let ten = with(wish(&server, "/large?100000"), json!({ "times": 10, "at_once": true }));
        for came in fetch(&invoker, &callable, &ten).await {
            assert_eq!(came["bytes"], 100_000, "{came}");
        }
        assert_eq!(server.connections(), 2);
        let came = fetch_one(&invoker, &callable, &wish(&other, "/hello")).await;
        assert_eq!(body(&came), "hello");

        let held = with(
            wish(&server, "/slow"),
            json!({ "times": 3, "at_once": true, "connect_ms": 200, "first_byte_ms": 1000 }),
        );
        let came = fetch(&invoker, &callable, &held).await;
        let [first, second, third] = [0, 1, 2].map(|n| error(&came[n]));
        assert!(first.contains("ConnectionReadTimeout") && second.contains("ConnectionReadTimeout"), "{came:?}");
        assert!(third.contains("ConnectionLimitReached"), "{came:?}");
    });
}

#[test]
fn a_connection_that_the_server_has_closed_is_not_used_again() {
    let (server, network) = (Server::start(), local_network());
    let callable = caller_of(&server, &network);
    on_a_worker(async {
        let three = with(wish(&server, "/closing"), json!({ "times": 3 }));
        for came in fetch(&invoker(), &callable, &three).await {
            assert_eq!(body(&came), "hello");
        }
        assert_eq!(server.connections(), 3);
    });
}

#[test]
fn a_server_that_misbehaves_is_an_error_for_the_guest_alone() {
    let (server, network) = (Server::start(), local_network());
    let callable = caller_of(&server, &network);
    on_a_worker(async {
        let invoker = invoker();
        for (path, more, expected) in [
            ("/slow", json!({ "first_byte_ms": 50 }), "ConnectionReadTimeout"),
            ("/garbage", json!({}), "HttpProtocolError"),
            ("/hang-up", json!({}), "HttpResponseIncomplete"),
            ("/headers?300", json!({}), "HttpResponseHeaderSectionSize"),
            ("/headers?255", json!({ "head_only": true }), ""),
        ] {
            let came = fetch_one(&invoker, &callable, &with(wish(&server, path), more)).await;
            assert!(came["error"].as_str().unwrap_or_default().contains(expected), "{path}: {came}");
        }
        for (path, more, expected) in [
            ("/stall", json!({ "between_bytes_ms": 50 }), "connection read timeout"),
            ("/half", json!({}), "incomplete HTTP response"),
            ("/large?1048577", json!({}), "HTTP response body size exceeds limit: 1048576 bytes"),
        ] {
            let came = fetch_one(&invoker, &callable, &with(wish(&server, path), more)).await;
            assert!(came["broke_off"].to_string().contains(expected), "{path}: {came}");
        }
        let came = fetch_one(&invoker, &callable, &wish(&server, "/large?1048576")).await;
        assert_eq!(came["bytes"], 1 << 20, "{came}");
    });
}

#[test]
fn a_body_may_be_as_large_as_the_tenants_records() {
    let (server, network) = (Server::start(), local_network());
    let callable = caller_of(&server, &network);
    on_a_worker(async {
        let invoker = invoker();
        let sending = |bytes: usize| with(wish(&server, "/upload"), json!({ "method": "POST", "send": bytes }));
        let came = fetch_one(&invoker, &callable, &sending(1 << 20)).await;
        assert_eq!(body(&came), (1 << 20).to_string());
        let came = fetch_one(&invoker, &callable, &sending((1 << 20) + 1)).await;
        assert!(error(&came).contains("HttpRequestBodySize"), "{came}");
        assert_eq!(outcomes(&network, "acme"), [("2xx", 1), ("too-large", 1)]);
    });
}

#[test]
fn the_deadline_of_the_call_ends_its_requests() {
    let (server, network) = (Server::start(), local_network());
    let callable = caller_of(&server, &network);
    let limits = CallLimits { deadline: Duration::from_millis(200), ..LIMITS };
    on_a_worker(async {
        let invoker = invoker();
        for path in ["/slow", "/stall"] {
            let request = post("/fetch", wish(&server, path).to_string());
            let ended = invoker.call(&callable, request, &limits).await;
            assert!(
                matches!(&ended, Err(CallError::Failed(failure)) if failure.reason.as_str() == "deadline"),
                "{ended:?}"
            );
        }
        // The tenant has all of its connections again.
        let all = with(wish(&server, "/hello"), json!({ "times": OUTBOUND_LIMITS.connections, "at_once": true }));
        for came in fetch(&invoker, &callable, &all).await {
            assert_eq!(body(&came), "hello");
        }
        assert!(outcomes(&network, "acme").contains(&("abandoned", 1)));
    });
}

#[test]
fn a_guest_that_spins_holds_up_nobodys_answer_but_its_own_workers() {
    let (server, network) = (Server::start(), local_network());
    let [acme, shop] = ["acme", "shop"].map(|tenant| {
        let origins = [allowed(&format!("http://api.test:{}", server.port), true)];
        caller(tenant, &origins, OUTBOUND_LIMITS, &network)
    });
    let spinning = std::thread::spawn(move || {
        let limits = CallLimits { max_cpu: Duration::from_secs(2), ..LIMITS };
        on_a_worker(async { invoker().call(&acme, get("/spin"), &limits).await.map(drop) })
    });
    on_a_worker(async {
        let invoker = invoker();
        let began = Instant::now();
        while !spinning.is_finished() && began.elapsed() < Duration::from_secs(1) {
            assert_eq!(body(&fetch_one(&invoker, &shop, &wish(&server, "/closing")).await), "hello");
        }
    });
    assert!(spinning.join().expect("it is ended").is_err());
}

#[test]
fn who_cannot_be_reached_is_said() {
    let network = network(|name| match name {
        "gone.test" => Ok(vec![LOOPBACK]),
        "empty.test" => Ok(Vec::new()),
        _ => Err(io::Error::other("no such name")),
    });
    // A port on which nobody listens any more.
    let port =
        std::net::TcpListener::bind((LOOPBACK, 0)).and_then(|listener| listener.local_addr()).expect("a port").port();
    let origins = ["gone", "empty", "unknown"].map(|name| allowed(&format!("http://{name}.test:{port}"), true));
    let callable = caller("acme", &origins, OUTBOUND_LIMITS, &network);
    on_a_worker(async {
        for (name, expected) in [("gone", "ConnectionRefused"), ("empty", "DnsError"), ("unknown", "DnsError")] {
            let wish = json!({ "authority": format!("{name}.test:{port}") });
            let came = fetch_one(&invoker(), &callable, &wish).await;
            assert!(error(&came).contains(expected), "{name}: {came}");
        }
        assert_eq!(outcomes(&network, "acme"), [("dns", 2), ("connect", 1)]);
    });
}

#[test]
fn a_resolver_that_hangs_holds_up_its_origin_alone() {
    let network = network(|name| {
        if name == "hangs.test" {
            std::thread::sleep(Duration::from_secs(3600));
        }
        Ok(vec![LOOPBACK])
    });
    let server = Server::start();
    let origins = ["hangs", "api"].map(|name| allowed(&format!("http://{name}.test:{}", server.port), true));
    let callable = caller("acme", &origins, OUTBOUND_LIMITS, &network);
    on_a_worker(async {
        let invoker = invoker();
        let hangs = json!({ "authority": format!("hangs.test:{}", server.port), "connect_ms": 50, "times": 100 });
        for came in fetch(&invoker, &callable, &hangs).await {
            assert!(error(&came).contains("ConnectionTimeout"), "{came}");
        }
        assert_eq!(body(&fetch_one(&invoker, &callable, &wish(&server, "/hello")).await), "hello");
    });
}

#[test]
fn the_trace_goes_on_unless_the_guest_has_one() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-01";
    let (server, network) = (Server::start(), local_network());
    let callable = caller_of(&server, &network);
    on_a_worker(async {
        let invoker = invoker();
        let ask = async |headers: Value| {
            let wish = with(wish(&server, "/echo"), json!({ "headers": headers }));
            let mut request = post("/fetch", wish.to_string());
            for (name, value) in
                [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2"), ("baggage", "c=3")]
            {
                request.headers_mut().append(name, value.parse().expect("a value"));
            }
            let response = invoker.call(&callable, request, &LIMITS).await.expect("a response");
            let came: Vec<Value> = serde_json::from_slice(response.body()).expect("a list");
            body(&came[0])
        };
        let head = ask(json!([["tracestate", "mine=1"]])).await;
        let expected = format!("traceparent: {PARENT}\r\ntracestate: a=1\r\ntracestate: b=2\r\nbaggage: c=3\r\n");
        assert!(head.contains(&expected) && !head.contains("mine"), "{head}");
        let head = ask(json!([["traceparent", OTHER], ["baggage", "mine=1"]])).await;
        assert!(head.contains(OTHER) && head.contains("baggage: mine=1"), "{head}");
        assert!(!head.contains(PARENT) && !head.contains("tracestate") && !head.contains("c=3"), "{head}");
    });
}

#[test]
fn a_guest_of_wasi_0_3_calls_out_by_the_same_rules() {
    let (server, network) = (Server::start(), local_network());
    let origins = [allowed(&format!("http://api.test:{}", server.port), true)];
    let callable = mischief_as_caller(&MISCHIEF_P3, "p3", &origins, OUTBOUND_LIMITS, &network);
    on_a_worker(async {
        let invoker = invoker();
        let get_of = async |url: &str| -> Value {
            let response = invoker.call(&callable, get(&format!("/outbound?url={url}")), &LIMITS).await;
            serde_json::from_slice(response.expect("a response").body()).expect("JSON")
        };
        let came = get_of(&format!("http://api.test:{}/echo", server.port)).await;
        assert_eq!(came["status"], 200, "{came}");
        assert!(body(&came).starts_with("GET /echo HTTP/1.1\r\n"), "{came}");
        for url in ["http://other.test/", "http://127.0.0.1/", "http://next.callgate.internal/"] {
            assert!(error(&get_of(url).await).contains("HttpRequestDenied"), "{url}");
        }
        assert_eq!(outcomes(&network, "p3"), [("2xx", 1), ("denied", 3)]);
    });
}
