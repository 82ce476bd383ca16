use proptest::prelude::*;

use super::*;
use crate::failure::Reason;
use crate::request::{RequestScope, to_request};
use crate::response;
use crate::testing::{REQUEST_LIMITS, header, null_header, record, record_with, route, shown, value_of};

fn policy() -> ReplyPolicy {
    let list = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
    ReplyPolicy::new(
        list(&["reply-to", "kafka_replyTopic", "zilla:reply-to"]),
        list(&["correlation-id", "kafka_correlationId", "zilla:correlation-id", "correlationid"]),
        TopicList::new(["acme.*", "shared"]).expect("a list"),
        3,
    )
}

fn found(headers: &[(&str, &[u8])]) -> Option<ReturnAddress> {
    return_address(&record_with(headers), None, &policy()).expect("no fault")
}

fn fault(record: &Record) -> AddressFault {
    return_address(record, None, &policy()).expect_err("a fault")
}

fn address() -> ReturnAddress {
    ReturnAddress { topic: "acme.replies".into(), partition: None, zilla: false }
}

fn answer(fields: &[(&'static str, &'static str)], body: &'static str) -> Response<Bytes> {
    let builder =
        fields.iter().fold(Response::builder().status(201), |builder, (name, value)| builder.header(*name, *value));
    builder.body(Bytes::from_static(body.as_bytes())).expect("a response")
}

fn reply_to(record: &Record, response: &Response<Bytes>) -> OutgoingRecord {
    reply(record, &address(), response, &response::check(response).expect("valid"), &policy(), None)
}

/// The headers of the reply but for the status and the hops, which every reply has.
fn copied(reply: &OutgoingRecord) -> Vec<(String, String)> {
    shown(reply).into_iter().filter(|(name, _)| name != STATUS_CODE && name != HOPS).collect()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[test]
fn the_first_name_of_the_list_wins_and_its_last_value() {
    assert_eq!(found(&[]), None);
    assert_eq!(found(&[("reply-to", b"acme.replies")]), Some(address()));
    assert_eq!(found(&[("Kafka_ReplyTopic", b"acme.replies")]), Some(address()), "names are compared ignoring case");
    assert_eq!(found(&[("kafka_replyTopic", b"acme.x"), ("reply-to", b"acme.replies")]), Some(address()));
    assert_eq!(found(&[("reply-to", b"acme.x"), ("reply-to", b"acme.replies")]), Some(address()));
    assert_eq!(found(&[("zilla:reply-to", b"acme.replies")]), Some(ReturnAddress { zilla: true, ..address() }));
}

#[test]
fn spring_names_a_partition_too() {
    let partition = |bytes: &[u8]| {
        return_address(
            &record_with(&[("kafka_replyTopic", b"acme.replies"), ("kafka_replyPartition", bytes)]),
            None,
            &policy(),
        )
    };
    assert_eq!(partition(&[0, 0, 1, 2]), Ok(Some(ReturnAddress { partition: Some(258), ..address() })));
    for malformed in [b"".as_slice(), b"1", b"\0\0\0\0\0", b"\xff\xff\xff\xff"] {
        let fault = partition(malformed).expect_err("malformed");
        assert_eq!(fault.failure.reason, Reason::InvalidRequest);
        assert_eq!(fault.answer, Some(address()), "the topic itself is right, so it is told");
    }
}

#[test]
fn a_partition_that_the_topic_does_not_have() {
    let address = ReturnAddress { partition: Some(2), ..address() };
    assert_eq!(address.check_partition(3), Ok(()));
    let fault = address.check_partition(2).expect_err("a fault");
    assert_eq!(fault.failure.reason, Reason::InvalidRequest);
    assert_eq!(fault.failure.message, "`kafka_replyPartition` is 2, and `acme.replies` has 2 partitions");
    assert_eq!(fault.answer, Some(super::tests::address()));
}

#[test]
fn addresses_that_are_none() {
    let null = Record { headers: vec![null_header("reply-to")], ..record() };
    let cases = [
        (null, "the return address in `reply-to` is null"),
        (record_with(&[("reply-to", b"")]), "the return address in `reply-to` is empty"),
        (record_with(&[("zilla:reply-to", b"\xff")]), "the return address in `zilla:reply-to` is not UTF-8"),
        (
            record_with(&[("reply-to", b""), ("kafka_replyTopic", b"acme.replies")]),
            "the return address in `reply-to` is empty",
        ),
    ];
    for (record, message) in cases {
        let fault = fault(&record);
        assert_eq!((fault.failure.reason, fault.failure.message.as_str()), (Reason::InvalidRequest, message));
        assert_eq!(fault.answer, None);
    }
}

#[test]
fn addresses_that_are_refused() {
    let cases: [(&[u8], &str); 6] = [
        (
            b"other.topic",
            "the return address in `reply-to` is `other.topic`, which the tenant's `reply_topics` does not allow",
        ),
        (b"shared2", "the return address in `reply-to` is `shared2`, which the tenant's `reply_topics` does not allow"),
        (b"acme.orders", "the return address in `reply-to` is `acme.orders`, the topic that the record came from"),
        (
            b"__consumer_offsets",
            "the return address in `reply-to` is `__consumer_offsets`: names that begin with `__` are Kafka's own",
        ),
        (b"acme.a/b", "the return address in `reply-to` is not a valid topic name"),
        (b"..", "the return address in `reply-to` is not a valid topic name"),
    ];
    for (topic, message) in cases {
        let fault = fault(&record_with(&[("reply-to", topic)]));
        assert_eq!((fault.failure.reason, fault.failure.message.as_str()), (Reason::ReplyRefused, message));
        assert_eq!(fault.answer, None);
    }
    assert!(found(&[("reply-to", b"shared")]).is_some());
}

#[test]
fn a_route_may_name_a_topic_for_records_that_name_none() {
    let fixed: Arc<str> = "acme.fixed".into();
    let found = |headers: &[(&str, &[u8])]| return_address(&record_with(headers), Some(&fixed), &policy());
    assert_eq!(found(&[]).expect("no fault").expect("an address").topic, fixed);
    assert_eq!(found(&[("reply-to", b"acme.replies")]), Ok(Some(address())));
    assert!(found(&[("reply-to", b"")]).is_err(), "an empty address is not none");
    let forbidden = return_address(&record(), Some(&"other".into()), &policy()).expect_err("a fault");
    assert_eq!(
        forbidden.failure.message,
        "the return address in the route's `reply_to` is `other`, which the tenant's `reply_topics` does not allow"
    );
}

#[test]
fn loops_end() {
    for hops in ["0", "3"] {
        assert!(found(&[("reply-to", b"shared"), ("X-Callgate-Hops", hops.as_bytes())]).is_some());
    }
    for hops in ["4", "99999999999999999999", "", "-1", "+1", "x", " 1"] {
        for headers in [
            &[("x-callgate-hops", hops.as_bytes())][..],
            &[("x-callgate-hops", hops.as_bytes()), ("reply-to", b"shared")],
        ] {
            let fault = fault(&record_with(headers));
            assert_eq!((fault.failure.reason, fault.answer), (Reason::TooManyHops, None), "{hops}");
        }
    }
    let reply = reply_to(&record_with(&[("x-callgate-hops", b"2")]), &answer(&[], ""));
    assert_eq!(value_of(&reply, HOPS), Some(b"3".as_slice()));
    assert_eq!(value_of(&reply_to(&record(), &answer(&[], "")), HOPS), Some(b"1".as_slice()));
}

#[test]
fn a_whole_reply() {
    let traceparent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".as_slice();
    let record = record_with(&[
        ("traceparent", traceparent),
        ("tracestate", b"a=1"),
        ("correlation-id", b"c1"),
        ("other", b"x"),
    ]);
    let response =
        answer(&[("content-type", "text/plain"), ("set-cookie", "a"), ("etag", "e"), ("set-cookie", "b")], "brewed");
    let address = ReturnAddress { partition: Some(4), zilla: true, ..address() };
    let reply = reply(&record, &address, &response, &Steering::default(), &policy(), Some([0xab; 8]));
    assert_eq!((&*reply.topic, reply.partition, reply.timestamp), ("acme.replies", Some(4), None));
    assert_eq!((reply.key.as_deref(), reply.value.as_deref()), (Some(b"k1".as_slice()), Some(b"brewed".as_slice())));
    let expected = pairs([
        ("status-code", "201"),
        (":status", "201"),
        ("content-type", "text/plain"),
        ("set-cookie", "a"),
        ("set-cookie", "b"),
        ("etag", "e"),
        ("correlation-id", "c1"),
        ("x-callgate-hops", "1"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-abababababababab-01"),
        ("tracestate", "a=1"),
    ]);
    assert_eq!(shown(&reply), expected);
}

#[test]
fn every_correlation_identifier_comes_back_as_it_came() {
    let mut record = record_with(&[
        ("Correlation-ID", b"1"),
        ("kafka_correlationId", b"\0\xff"),
        ("x", b""),
        ("zilla:correlation-id", b"3"),
        ("correlation-id", b"4"),
    ]);
    record.headers.push(null_header("correlationid"));
    let own: Vec<Header> = record.headers.iter().filter(|header| !header.is("x")).cloned().collect();
    let echoes = answer(
        &[("correlation-id", "forged"), ("zilla%3acorrelation-id", "forged"), ("kafka_correlationid", "forged")],
        "",
    );
    assert_eq!(reply_to(&record, &echoes).headers[1..6], own);
    assert_eq!(
        error_reply(&record, &address(), 502, &Failure::new(Reason::Trap, ""), &policy(), None).headers[2..7],
        own
    );
    assert!(copied(&reply_to(&crate::testing::record(), &echoes)).is_empty(), "not even where the record has none");
}

#[test]
fn what_the_host_says_itself_is_not_copied() {
    let response = answer(
        &[
            ("status-code", "999"),
            ("content-length", "2"),
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
            ("x-callgate-hops", "0"),
            ("x-callgate-anything", "x"),
            ("x-kafka-key", "k2"),
            ("x-kafka-topic", "elsewhere"),
            ("reply-to", "acme.next"),
            ("x-kafka-colour", "red"),
        ],
        "ok",
    );
    let reply = reply_to(&record(), &response);
    assert_eq!(copied(&reply), pairs([("reply-to", "acme.next"), ("x-kafka-colour", "red")]));
    assert_eq!(value_of(&reply, STATUS_CODE), Some(b"201".as_slice()));
    assert_eq!(reply.key.as_deref(), Some(b"k2".as_slice()));
}

#[test]
fn a_response_steers_key_value_and_binary_headers() {
    let response = answer(
        &[
            ("x-kafka-key", "AP8="),
            ("x-kafka-key-encoding", "base64"),
            ("x-kafka-tombstone", "true"),
            ("bin", "AP8="),
            ("many", ""),
            ("many", "eA=="),
            ("ce-raw", "AP8="),
            ("x-kafka-encoded-headers", "bin,many;null=0,ce-raw"),
        ],
        "dropped",
    );
    let reply = reply_to(&record(), &response);
    assert_eq!((reply.key.as_deref(), reply.value), (Some(b"\0\xff".as_slice()), None));
    let expected = [header("bin", b"\0\xff"), null_header("many"), header("many", b"x"), header("ce_raw", b"\0\xff")];
    assert_eq!(reply.headers[1..5], expected);
}

#[test]
fn an_empty_body_is_an_empty_value() {
    assert_eq!(reply_to(&record(), &answer(&[], "")).value, Some(Bytes::new()));
    assert_eq!(reply_to(&Record { key: None, ..record() }, &answer(&[], "")).key, None);
}

#[test]
fn cloud_events_go_back() {
    let response = answer(
        &[("ce-type", "caf%C3%A9%201%25"), ("ce-old", "\"a b\""), ("ce-wrong", "%C0%A0"), ("ce_own", "%41")],
        "",
    );
    let expected = pairs([("ce_type", "café 1%"), ("ce_old", "a b"), ("ce_wrong", "%C0%A0"), ("ce_own", "%41")]);
    assert_eq!(copied(&reply_to(&record(), &response)), expected);
}

#[test]
fn the_trace_goes_on() {
    let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traced = record_with(&[("traceparent", valid.as_bytes())]);
    assert_eq!(copied(&reply_to(&traced, &answer(&[], ""))), pairs([("traceparent", valid)]), "no span of the host");
    let own = "00-0af7651916cd43dd8448eb211c80319c-1111111111111111-01";
    assert_eq!(copied(&reply_to(&traced, &answer(&[("traceparent", own)], ""))), pairs([("traceparent", own)]));
    let invalid = record_with(&[("traceparent", b"x"), ("tracestate", b"a=1")]);
    assert!(copied(&reply_to(&invalid, &answer(&[], ""))).is_empty());
}

#[test]
fn an_error_reply_is_a_problem() {
    let record = record_with(&[("correlation-id", b"c1")]);
    let failure = Failure { trap: Some("wasm backtrace".to_owned()), ..Failure::new(Reason::Trap, "unreachable") };
    let zilla = ReturnAddress { zilla: true, ..address() };
    let reply = error_reply(&record, &zilla, 502, &failure, &policy(), None);
    let expected = pairs([
        ("status-code", "502"),
        (":status", "502"),
        ("content-type", "application/problem+json"),
        ("correlation-id", "c1"),
        ("x-callgate-hops", "1"),
    ]);
    assert_eq!(shown(&reply), expected);
    assert_eq!(reply.key.as_deref(), Some(b"k1".as_slice()));
    let body: serde_json::Value = serde_json::from_slice(reply.value.as_deref().expect("a value")).expect("JSON");
    let problem = serde_json::json!({
        "type": "about:blank",
        "title": "Bad Gateway",
        "status": 502,
        "detail": "unreachable",
        "reason": "trap",
        "topic": "acme.orders",
        "partition": 3,
        "offset": 42,
    });
    assert_eq!(body, problem);
}

#[test]
fn an_error_reply_is_small() {
    let failure = Failure::new(Reason::ReplyTooLarge, "é".repeat(100_000));
    let reply = error_reply(&record(), &address(), 500, &failure, &policy(), None);
    assert!(reply.batch_size() < 1500);
}

proptest! {
    /// A handler that answers with what it was asked gives back every value, whatever its bytes.
    #[test]
    fn an_echo_gives_back_every_value(
        values in prop::collection::vec(prop::option::of(any::<Vec<u8>>()), 1..5),
        key in prop::option::of(any::<Vec<u8>>()),
    ) {
        let named = |value: &Option<Vec<u8>>| Header { value: value.clone().map(Bytes::from), ..null_header("x") };
        let headers = values.iter().map(named).collect();
        let record = Record { key: key.map(Bytes::from), headers, ..record() };
        let scope = RequestScope { handler: "echo", attempt: 1, limits: &REQUEST_LIMITS, span: None };
        let request = to_request(&record, &route("POST /"), &scope).expect("a request");
        let mut response = Response::new(request.body().clone());
        *response.headers_mut() = request.headers().clone();
        let reply = reply_to(&record, &response);
        prop_assert_eq!(&reply.headers[1..=values.len()], &record.headers);
        prop_assert_eq!((reply.key, reply.value), (record.key, record.value));
    }
}
