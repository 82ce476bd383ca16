use proptest::prelude::*;

use super::*;

fn named(raw: &[u8]) -> String {
    name(raw).expect("HTTP can carry it").as_str().to_owned()
}

#[test]
fn names_become_tokens() {
    let cases: [(&[u8], &str); 10] = [
        (&[b'A'; 100], &"a".repeat(100)),
        (b"order-id", "order-id"),
        (b"Order-ID", "order-id"),
        (b"kafka_correlationId", "kafka_correlationid"),
        (b"zilla:reply-to", "zilla%3areply-to"),
        (b"100%", "100%25"),
        (b"a b", "a%20b"),
        ("Ä".as_bytes(), "%c3%84"),
        (b"\xff\x00", "%ff%00"),
        (b"ce_Type", "ce-type"),
    ];
    for (raw, expected) in cases {
        assert_eq!(named(raw), expected);
    }
}

#[test]
fn names_that_cannot_be_carried() {
    assert_eq!(name(b"").expect_err("empty").reason, Reason::InvalidRequest);
    assert_eq!(name(&[b'a'; 70_000]).expect_err("long").reason, Reason::RequestTooLarge);
    assert_eq!(name(&[b':'; 40_000]).expect_err("long once encoded").reason, Reason::RequestTooLarge);
}

#[test]
fn the_hosts_own_fields_and_no_others() {
    let metadata = [
        &KAFKA_TOPIC,
        &KAFKA_PARTITION,
        &KAFKA_OFFSET,
        &KAFKA_TIMESTAMP,
        &KAFKA_KEY,
        &KAFKA_KEY_ENCODING,
        &KAFKA_TOMBSTONE,
        &KAFKA_DELIVERY_ATTEMPT,
        &KAFKA_ENCODED_HEADERS,
    ];
    assert!(metadata.into_iter().all(is_metadata));
    for other in ["x-kafka-", "x-kafka-colour", "x-kafka-keys", "kafka-topic"] {
        assert!(!is_metadata(&HeaderName::from_static(other)), "{other}");
    }
}

#[test]
fn what_means_nothing_beyond_one_connection() {
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
        "content-length",
        "http2-settings",
    ] {
        assert!(is_hop_by_hop(&HeaderName::from_static(name)), "{name}");
    }
    for name in ["content-type", "trailers", "hosts", "authorization"] {
        assert!(!is_hop_by_hop(&HeaderName::from_static(name)), "{name}");
    }
}

#[test]
fn values_that_come_out_as_they_went_in() {
    for value in [b"".as_slice(), b"a", b"a b\tc", b"\x80\xff", "é".as_bytes()] {
        assert!(is_value(value), "{value:?}");
    }
    for value in [b" a".as_slice(), b"a ", b"\ta", b"a\t", b" ", b"a\r\nb", b"\0", b"\x1f", b"\x7f"] {
        assert!(!is_value(value), "{value:?}");
    }
}

proptest! {
    #[test]
    fn a_name_can_be_read_back(raw in prop::collection::vec(any::<u8>(), 1..40)) {
        prop_assume!(cloudevents::record_attribute(&raw).is_none());
        let name = named(&raw);
        prop_assert_eq!(percent::decode(name.as_bytes()), raw.to_ascii_lowercase());
    }
}
