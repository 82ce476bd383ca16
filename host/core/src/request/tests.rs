use std::collections::BTreeMap;

use http::Method;
use proptest::prelude::*;

use super::*;
use crate::encoded;
use crate::percent;
use crate::route::{Binding, Operation};
use crate::testing::{REQUEST_LIMITS as LIMITS, header, null_header, operation, record, record_with, route};

const SCOPE: RequestScope<'static> = RequestScope { handler: "orders", attempt: 1, limits: &LIMITS, span: None };

fn request_of(record: &Record) -> Request<Bytes> {
    to_request(record, &route("POST /"), &SCOPE).expect("a request")
}

fn uri_of(record: &Record, route: &Route) -> String {
    to_request(record, route, &SCOPE).expect("a request").uri().to_string()
}

fn fault_of(record: &Record, route: &Route) -> Failure {
    to_request(record, route, &SCOPE).expect_err("an invalid message")
}

/// The request's fields, but for those that the host sets.
fn carried_fields(request: &Request<Bytes>) -> Vec<(&str, &[u8])> {
    let own = |name: &HeaderName| field::is_metadata(name) || *name == CONTENT_LENGTH;
    let fields = request.headers().iter().filter(|(name, _)| !own(name));
    fields.map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

fn encoded_list(request: &Request<Bytes>) -> &[u8] {
    request.headers().get(&field::KAFKA_ENCODED_HEADERS).map_or(b"", HeaderValue::as_bytes)
}

#[test]
fn a_plain_record() {
    let request = request_of(&record_with(&[("Content-Type", b"application/json")]));
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "http://orders/");
    assert_eq!(request.body(), "{}");
    let fields: Vec<_> =
        request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII"))).collect();
    assert_eq!(
        fields,
        [
            "content-type: application/json",
            "x-kafka-topic: acme.orders",
            "x-kafka-partition: 3",
            "x-kafka-offset: 42",
            "x-kafka-timestamp: 1700000000123",
            "x-kafka-key: k1",
            "x-kafka-delivery-attempt: 1",
            "content-length: 2",
        ]
    );
}

#[test]
fn the_value_is_not_copied() {
    let record = record();
    assert_eq!(request_of(&record).body().as_ptr(), record.value.as_ref().expect("a value").as_ptr());
}

#[test]
fn null_and_empty_values_stay_distinct() {
    let tombstone = request_of(&Record { value: None, ..record() });
    assert_eq!(
        (tombstone.body().len(), &tombstone.headers()[&field::KAFKA_TOMBSTONE]),
        (0, &HeaderValue::from_static("true"))
    );
    assert_eq!(tombstone.headers()[CONTENT_LENGTH], "0");
    let empty = request_of(&Record { value: Some(Bytes::new()), ..record() });
    assert!(!empty.headers().contains_key(&field::KAFKA_TOMBSTONE));
}

#[test]
fn a_tombstone_may_have_its_own_operation() {
    let route = Route { tombstone: Some(operation("DELETE /gone")), ..route("POST /") };
    let request = to_request(&Record { value: None, ..record() }, &route, &SCOPE).expect("a request");
    assert_eq!((request.method(), request.uri().path()), (&Method::DELETE, "/gone"));
    assert_eq!(request.headers()[&field::KAFKA_TOMBSTONE], "true");
    assert_eq!(to_request(&record(), &route, &SCOPE).expect("a request").method(), Method::POST);
}

#[test]
fn keys() {
    assert!(!request_of(&Record { key: None, ..record() }).headers().contains_key(&field::KAFKA_KEY));
    let cases: [(&'static [u8], &str, bool); 5] = [
        (b"", "", false),
        (b"!~", "!~", false),
        (b"a b", "YSBi", true),
        ("é".as_bytes(), "w6k=", true),
        (b"\0\xff", "AP8=", true),
    ];
    for (key, field, base64) in cases {
        let request = request_of(&Record { key: Some(Bytes::from_static(key)), ..record() });
        let text = |name| request.headers().get(name).map(|value| value.to_str().expect("ASCII"));
        assert_eq!(text(&field::KAFKA_KEY), Some(field), "{key:?}");
        assert_eq!(text(&field::KAFKA_KEY_ENCODING), base64.then_some("base64"), "{key:?}");
    }
}

#[test]
fn a_record_without_a_timestamp_has_no_field_for_it() {
    assert!(!request_of(&Record { timestamp: None, ..record() }).headers().contains_key(&field::KAFKA_TIMESTAMP));
}

#[test]
fn order_among_first_occurrences_and_within_a_name() {
    let request = request_of(&record_with(&[("b", b"1"), ("a", b"2"), ("B", b"3"), ("c", b"4"), ("A", b"5")]));
    let expected: [(&str, &[u8]); 5] = [("b", b"1"), ("b", b"3"), ("a", b"2"), ("a", b"5"), ("c", b"4")];
    assert_eq!(carried_fields(&request), expected);
}

#[test]
fn forged_metadata_is_stripped() {
    let forged = record_with(&[
        ("x-kafka-topic", b"other"),
        ("X-Kafka-Offset", b"1"),
        ("x-kafka-key-encoding", b"base64"),
        ("x-kafka-tombstone", b"true"),
        ("x-kafka-encoded-headers", b"colour"),
        ("x-kafka-colour", b"red"),
    ]);
    let request = request_of(&forged);
    assert_eq!(
        carried_fields(&request),
        [("x-kafka-colour", b"red".as_slice())],
        "a name that the host does not set is the producer's"
    );
    assert_eq!(request.headers().get_all(&field::KAFKA_TOPIC).iter().collect::<Vec<_>>(), ["acme.orders"]);
    assert_eq!(request.headers()[&field::KAFKA_OFFSET], "42");
    for name in [&field::KAFKA_KEY_ENCODING, &field::KAFKA_TOMBSTONE, &field::KAFKA_ENCODED_HEADERS] {
        assert!(!request.headers().contains_key(name), "{name}");
    }
}

#[test]
fn hop_by_hop_and_framing_are_dropped() {
    let request = request_of(&record_with(&[
        ("Host", b"evil"),
        ("transfer-encoding", b"chunked"),
        ("content-length", b"9"),
        ("Proxy-X", b""),
    ]));
    assert!(carried_fields(&request).is_empty());
    assert_eq!(request.headers().get_all(CONTENT_LENGTH).iter().collect::<Vec<_>>(), ["2"]);
}

#[test]
fn bytes_that_a_field_cannot_hold_are_encoded() {
    let mut record =
        record_with(&[("bin", b"\0\x01"), ("pad", b" x"), ("mixed", b"plain"), ("mixed", b"a\nb"), ("latin", b"\xe9")]);
    record.headers.extend([null_header("nil"), null_header("some"), header("some", b"x"), null_header("some")]);
    let request = request_of(&record);
    let expected: [(&str, &[u8]); 9] = [
        ("bin", b"AAE="),
        ("pad", b"IHg="),
        ("mixed", b"cGxhaW4="),
        ("mixed", b"YQpi"),
        ("latin", b"\xe9"),
        ("nil", b""),
        ("some", b""),
        ("some", b"eA=="),
        ("some", b""),
    ];
    assert_eq!(carried_fields(&request), expected);
    assert_eq!(encoded_list(&request), b"bin,pad,mixed,nil;null,some;null=0.2");
}

#[test]
fn cloud_events() {
    let request = request_of(&record_with(&[
        ("ce_type", "café 1%".as_bytes()),
        ("CE_ID", b"7"),
        ("ce_bad", b"\xff"),
        ("ce-type", b"as it is"),
    ]));
    let expected: [(&str, &[u8]); 4] =
        [("ce-type", b"caf%C3%A9%201%25"), ("ce-type", b"as it is"), ("ce-id", b"7"), ("ce-bad", b"/w==")];
    assert_eq!(carried_fields(&request), expected);
    assert_eq!(encoded_list(&request), b"ce-bad");
}

#[test]
fn the_hosts_span_becomes_the_parent() {
    let scope = RequestScope { span: Some([0xab; 8]), ..SCOPE };
    let valid = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".as_slice();
    let record = record_with(&[("traceparent", valid), ("tracestate", b"a=1"), ("baggage", b"k=v")]);
    let expected: [(&str, &[u8]); 3] = [
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-abababababababab-01"),
        ("tracestate", b"a=1"),
        ("baggage", b"k=v"),
    ];
    assert_eq!(carried_fields(&to_request(&record, &route("POST /"), &scope).expect("a request")), expected);
    assert_eq!(carried_fields(&request_of(&record))[0].1, valid, "no span of the host, no change");
    let invalid = record_with(&[("traceparent", b"nonsense")]);
    assert_eq!(carried_fields(&to_request(&invalid, &route("POST /"), &scope).expect("a request"))[0].1, b"nonsense");
}

#[test]
fn path_and_query() {
    let query = vec![
        ("verbose".to_owned(), Binding::Header("Verbose".into())),
        ("a b".to_owned(), Binding::Key),
        ("raw".to_owned(), Binding::Header("raw".into())),
    ];
    let route = Route { query, ..route("POST /orders/{id}/lines") };
    let full =
        record_with(&[("id", b"first"), ("ID", "a/b?c%2F.é".as_bytes()), ("verbose", b"x&y=z +"), ("raw", b"\xff")]);
    assert_eq!(
        uri_of(&full, &route),
        "http://orders/orders/a%2Fb%3Fc%252F.%C3%A9/lines?verbose=x%26y%3Dz%20%2B&a%20b=k1&raw=%FF"
    );
    let bare = Record { key: None, ..record_with(&[("id", b"7")]) };
    assert_eq!(uri_of(&bare, &route), "http://orders/orders/7/lines");
    let null =
        Record { key: Some(Bytes::new()), headers: vec![header("id", b"7"), null_header("verbose")], ..record() };
    assert_eq!(uri_of(&null, &route), "http://orders/orders/7/lines?a%20b=");
}

#[test]
fn a_parameter_that_is_no_segment_is_an_invalid_message() {
    let route = route("GET /x/{id}");
    let cases: [(&[u8], &str); 7] = [
        (b"", "is empty"),
        (b"\xff", "is not UTF-8"),
        (b".", "is `.` or `..`, and would change the path"),
        (b"..", "is `.` or `..`, and would change the path"),
        (b"%2e", "is `.` or `..`, and would change the path"),
        (b"%2E.", "is `.` or `..`, and would change the path"),
        (b"%2e%2e", "is `.` or `..`, and would change the path"),
    ];
    for (value, why) in cases {
        let failure = fault_of(&record_with(&[("id", value)]), &route);
        assert_eq!(failure.reason, Reason::InvalidRequest);
        assert_eq!(
            failure.message,
            format!("the path parameter `id` comes from the record's header `id`, which {why}")
        );
    }
    assert!(fault_of(&record(), &route).message.ends_with("`id`, which is missing or null"));
    let keyed = Route {
        operation: Operation::parse("GET /x/{id}", &BTreeMap::from([("id".to_owned(), Binding::Key)]))
            .expect("an operation"),
        ..route
    };
    assert_eq!(uri_of(&record(), &keyed), "http://orders/x/k1");
    let failure = fault_of(&Record { key: None, ..record() }, &keyed);
    assert_eq!(failure.message, "the path parameter `id` comes from the record's key, which is missing or null");
    assert_eq!(uri_of(&record_with(&[("id", b"...")]), &crate::testing::route("GET /x/{id}")), "http://orders/x/...");
}

#[test]
fn limits() {
    let limits = RequestLimits { max_headers: 2, max_header_bytes: 10, max_body: 4 };
    let scope = RequestScope { limits: &limits, ..SCOPE };
    let check = |record: Record| to_request(&record, &route("POST /"), &scope);
    assert!(
        check(Record { value: Some(Bytes::from_static(b"1234")), ..record_with(&[("abc", b"de"), ("fgh", b"ij")]) })
            .is_ok()
    );
    let cases = [
        (
            record_with(&[("a", b""), ("a", b""), ("a", b"")]),
            "the record has 3 headers, and the tenant's `max_headers` is 2",
        ),
        (
            record_with(&[("abcdef", b"ghijk")]),
            "the record has 11 bytes of headers, and the tenant's `max_header_bytes` is 10",
        ),
        (
            Record { value: Some(Bytes::from_static(b"12345")), ..record() },
            "the record has 5 bytes of value, and the tenant's `max_request_body` is 4",
        ),
    ];
    for (record, message) in cases {
        assert_eq!(check(record).expect_err(message), Failure::new(Reason::RequestTooLarge, message));
    }
}

#[test]
fn what_http_itself_cannot_carry_is_too_large() {
    let limits = RequestLimits { max_headers: 1 << 20, max_header_bytes: 1 << 30, max_body: 1 << 20 };
    let scope = RequestScope { limits: &limits, ..SCOPE };
    let long = record_with(&[("id", &[b'x'; 70_000])]);
    let many = Record { headers: (0..40_000).map(|number| header(&format!("h{number}"), b"")).collect(), ..record() };
    for (record, route) in [(long, route("GET /x/{id}")), (many, route("GET /"))] {
        assert_eq!(to_request(&record, &route, &scope).expect_err("too large").reason, Reason::RequestTooLarge);
    }
}

#[test]
fn an_empty_name_is_an_invalid_message() {
    let failure = fault_of(&record_with(&[("", b"x")]), &route("POST /"));
    assert_eq!(failure.reason, Reason::InvalidRequest);
}

/// Names and values as a stranger may send them.
fn any_headers() -> impl Strategy<Value = Vec<Header>> {
    let name = prop_oneof![
        4 => "[a-cA-C]{1,2}",
        1 => "ce_[a-b]",
        1 => "[ -~]{1,4}",
    ]
    .prop_map(String::into_bytes);
    let name = prop_oneof![8 => name, 1 => prop::collection::vec(any::<u8>(), 1..5)];
    let value = prop_oneof![
        4 => "[ -~]{0,6}".prop_map(|text| Some(text.into_bytes())),
        1 => "\\PC{0,6}".prop_map(|text| Some(text.into_bytes())),
        2 => prop::collection::vec(any::<u8>(), 0..6).prop_map(Some),
        1 => Just(None),
    ];
    let header = (name, value).prop_map(|(name, value)| Header { name: name.into(), value: value.map(Bytes::from) });
    prop::collection::vec(header, 0..12)
}

/// What a handler can read of a record's headers, with what the product promises about them and nothing else.
fn decoded_by_the_handler(request: &Request<Bytes>) -> Vec<(Vec<u8>, Vec<Option<Bytes>>)> {
    let listed = encoded::decode(request.headers()).expect("a right list");
    let names = request.headers().keys().filter(|name| !field::is_metadata(name) && **name != CONTENT_LENGTH);
    names
        .map(|name| {
            let attribute = name.as_str().strip_prefix("ce-");
            let value = |value: &HeaderValue| match attribute {
                Some(_) => Bytes::from(percent::decode(value.as_bytes()).into_owned()),
                None => Bytes::copy_from_slice(value.as_bytes()),
            };
            let recorded = attribute.map_or(name.to_string(), |attribute| format!("ce_{attribute}"));
            let values = listed.get(name).cloned();
            let values =
                values.unwrap_or_else(|| request.headers().get_all(name).iter().map(|v| Some(value(v))).collect());
            (percent::decode(recorded.as_bytes()).into_owned(), values)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// Names (but for their case), values, nulls, repeats and order: a handler can read all that the record had.
    #[test]
    fn headers_come_out_byte_for_byte(headers in any_headers()) {
        let mut expected: Vec<(Vec<u8>, Vec<Option<Bytes>>)> = Vec::new();
        for header in &headers {
            let name = header.name.to_ascii_lowercase();
            prop_assume!(!name.starts_with(b"ce-") && name != b"te");
            match expected.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push(header.value.clone()),
                None => expected.push((name, vec![header.value.clone()])),
            }
        }
        let request = request_of(&Record { headers, ..record() });
        prop_assert_eq!(decoded_by_the_handler(&request), expected);
    }

    #[test]
    fn a_key_comes_out_byte_for_byte(key: Vec<u8>) {
        let request = request_of(&Record { key: Some(key.clone().into()), ..record() });
        let field = &request.headers()[&field::KAFKA_KEY];
        let read = match request.headers().get(&field::KAFKA_KEY_ENCODING) {
            Some(_) => encoded::base64(field.as_bytes()).expect("base64"),
            None => Bytes::copy_from_slice(field.as_bytes()),
        };
        prop_assert_eq!(read, key);
    }

    #[test]
    fn a_path_parameter_stays_within_its_segment(id in prop_oneof!["\\PC{1,12}", "[./%2eEfF?#&]{1,8}"]) {
        let request = to_request(&record_with(&[("id", id.as_bytes())]), &route("GET /a/{id}/b"), &SCOPE);
        let Ok(request) = request else {
            prop_assert!(matches!(percent::decode(id.as_bytes()).as_ref(), b"." | b".."));
            return Ok(());
        };
        let segments: Vec<&str> = request.uri().path().split('/').collect();
        prop_assert_eq!(segments.len(), 4);
        prop_assert_eq!((segments[1], segments[3]), ("a", "b"));
        prop_assert_eq!(percent::decode(segments[2].as_bytes()), id.as_bytes());
        prop_assert_eq!(request.uri().query(), None);
    }

    #[test]
    fn a_query_value_stays_within_its_pair(value: Vec<u8>) {
        let query = vec![("q".to_owned(), Binding::Header("q".into())), ("last".to_owned(), Binding::Key)];
        let record = record_with(&[("q", &value)]);
        let request = to_request(&record, &Route { query, ..route("GET /") }, &SCOPE).expect("a request");
        let query = request.uri().query().expect("a query");
        let pairs: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        prop_assert_eq!(pairs.len(), 2);
        prop_assert_eq!(percent::decode(pairs[0].1.as_bytes()), value);
        prop_assert_eq!(pairs[1], ("last", "k1"));
    }
}
