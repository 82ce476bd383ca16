use proptest::prelude::*;

use super::*;
use crate::failure::Reason;
use crate::record::{Timestamp, TimestampKind};
use crate::testing::{header, null_header, record, record_with, shown, value_of};

const CONTEXT: DeadLetterContext<'static> =
    DeadLetterContext { group: "callgate.acme", tenant: "acme", handler: "orders", digest: "sha256:ab", attempts: 3 };

fn trap() -> Failure {
    Failure {
        trap: Some("wasm `unreachable`\n  0: brew".to_owned()),
        ..Failure::new(Reason::Trap, "the guest trapped")
    }
}

fn letter(record: &Record, failure: &Failure, policy: &DeadLetterPolicy) -> OutgoingRecord {
    dead_letter(record, &CONTEXT, failure, policy, Some(10), usize::MAX)
}

fn with_headers(headers: DeadLetterHeaders) -> DeadLetterPolicy {
    DeadLetterPolicy { headers, ..DeadLetterPolicy::default() }
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[test]
fn the_record_is_kept_as_it_is() {
    let mut record = record_with(&[("b", b"\0"), ("a", b"1"), ("b", b"2")]);
    record.headers.push(null_header("nil"));
    let letter = letter(&record, &trap(), &DeadLetterPolicy::default());
    assert_eq!((&letter.key, &letter.value), (&record.key, &record.value));
    assert_eq!(letter.headers[..4], record.headers);
    assert_eq!((&*letter.topic, letter.partition, letter.timestamp), ("acme.orders-dlt", Some(3), None));
    let tombstone = Record { key: None, value: None, ..record };
    let letter = super::tests::letter(&tombstone, &trap(), &DeadLetterPolicy::default());
    assert_eq!((letter.key, letter.value), (None, None));
}

#[test]
fn where_it_goes() {
    let policy =
        DeadLetterPolicy { topic: Some("acme.dlt".into()), original_timestamp: true, ..DeadLetterPolicy::default() };
    let partition = |partitions| dead_letter(&record(), &CONTEXT, &trap(), &policy, partitions, usize::MAX).partition;
    assert_eq!([Some(4), Some(3), Some(1), None].map(partition), [Some(3), None, None, None]);
    let letter = letter(&record(), &trap(), &policy);
    assert_eq!((&*letter.topic, letter.timestamp), ("acme.dlt", Some(1_700_000_000_123)));
}

#[test]
fn the_set_of_callgate() {
    let expected = pairs([
        ("x-callgate-dlt-topic", "acme.orders"),
        ("x-callgate-dlt-partition", "3"),
        ("x-callgate-dlt-offset", "42"),
        ("x-callgate-dlt-timestamp", "1700000000123"),
        ("x-callgate-dlt-group", "callgate.acme"),
        ("x-callgate-dlt-tenant", "acme"),
        ("x-callgate-dlt-handler", "orders"),
        ("x-callgate-dlt-digest", "sha256:ab"),
        ("x-callgate-dlt-attempts", "3"),
        ("x-callgate-dlt-stage", "invoke"),
        ("x-callgate-dlt-reason", "trap"),
        ("x-callgate-dlt-message", "the guest trapped"),
        ("x-callgate-dlt-trap", "wasm `unreachable`\n  0: brew"),
    ]);
    assert_eq!(shown(&letter(&record(), &trap(), &DeadLetterPolicy::default())), expected);

    let status = Failure { status: Some(503), ..Failure::new(Reason::Status, "the handler answered 503") };
    let letter = letter(&Record { timestamp: None, ..record() }, &status, &DeadLetterPolicy::default());
    assert_eq!(value_of(&letter, "x-callgate-dlt-status"), Some(b"503".as_slice()));
    assert_eq!(value_of(&letter, "x-callgate-dlt-stage"), Some(b"response".as_slice()));
    for absent in ["x-callgate-dlt-timestamp", "x-callgate-dlt-trap"] {
        assert_eq!(value_of(&letter, absent), None, "{absent}");
    }
}

#[test]
fn the_set_of_kafka_connect() {
    let expected = pairs([
        ("__connect.errors.topic", "acme.orders"),
        ("__connect.errors.partition", "3"),
        ("__connect.errors.offset", "42"),
        ("__connect.errors.connector.name", "acme.orders"),
        ("__connect.errors.task.id", "0"),
        ("__connect.errors.stage", "TASK_PUT"),
        ("__connect.errors.class.name", "callgate.trap"),
        ("__connect.errors.exception.class.name", "callgate.trap"),
        ("__connect.errors.exception.message", "the guest trapped"),
        ("__connect.errors.exception.stacktrace", "callgate.trap: the guest trapped\nwasm `unreachable`\n  0: brew"),
    ]);
    assert_eq!(shown(&letter(&record(), &trap(), &with_headers(DeadLetterHeaders::Connect))), expected);
}

#[test]
fn the_set_of_spring() {
    let policy = with_headers(DeadLetterHeaders::Spring);
    let millis = 1_700_000_000_123i64.to_be_bytes();
    let expected = [
        header("kafka_dlt-original-topic", b"acme.orders"),
        header("kafka_dlt-original-partition", &[0, 0, 0, 3]),
        header("kafka_dlt-original-offset", &[0, 0, 0, 0, 0, 0, 0, 42]),
        header("kafka_dlt-original-timestamp", &millis),
        header("kafka_dlt-original-timestamp-type", b"CreateTime"),
        header("kafka_dlt-original-consumer-group", b"callgate.acme"),
        header("kafka_dlt-exception-fqcn", b"callgate.trap"),
        header("kafka_dlt-exception-message", b"the guest trapped"),
        header("kafka_dlt-exception-stacktrace", b"callgate.trap: the guest trapped\nwasm `unreachable`\n  0: brew"),
    ];
    assert_eq!(letter(&record(), &trap(), &policy).headers, expected);

    let kinds = [
        (Some(Timestamp { millis: 5, kind: TimestampKind::LogAppendTime }), "LogAppendTime", 5i64),
        (None, "NoTimestampType", -1),
    ];
    for (timestamp, kind, millis) in kinds {
        let letter = letter(&Record { timestamp, ..record() }, &trap(), &policy);
        assert_eq!(value_of(&letter, "kafka_dlt-original-timestamp-type"), Some(kind.as_bytes()));
        assert_eq!(value_of(&letter, "kafka_dlt-original-timestamp"), Some(millis.to_be_bytes().as_slice()));
    }
}

#[test]
fn listed_headers_are_redacted() {
    let policy =
        DeadLetterPolicy { redact: vec!["authorization".into(), "cookie".into()], ..DeadLetterPolicy::default() };
    let record = record_with(&[("Authorization", b"Bearer x"), ("cookie", b"a"), ("cookie", b"b"), ("other", b"c")]);
    let expected = [
        header("Authorization", b"[redacted]"),
        header("cookie", b"[redacted]"),
        header("cookie", b"[redacted]"),
        header("other", b"c"),
    ];
    assert_eq!(letter(&record, &trap(), &policy).headers[..4], expected);
}

#[test]
fn traces_are_shortened_before_messages_and_messages_before_all_else() {
    let failure = Failure { trap: Some("t".repeat(500)), ..Failure::new(Reason::Trap, "m".repeat(500)) };
    let full = letter(&record(), &failure, &DeadLetterPolicy::default());
    let within = |less: usize| {
        let letter = dead_letter(
            &record(),
            &CONTEXT,
            &failure,
            &DeadLetterPolicy::default(),
            Some(10),
            full.batch_size() - less,
        );
        let len = |name| value_of(&letter, name).map(<[u8]>::len);
        (len("x-callgate-dlt-trap"), len("x-callgate-dlt-message"), letter.headers.len())
    };
    assert_eq!(within(0), (Some(500), Some(500), 13));
    assert_eq!(within(100), (Some(400), Some(500), 13));
    assert_eq!(within(600), (Some(0), Some(401), 13), "a length of nothing takes a byte less");
    assert_eq!(within(1010), (None, Some(0), 12), "then what was added goes, the last one first");
    let none = dead_letter(&record(), &CONTEXT, &failure, &DeadLetterPolicy::default(), Some(10), 0);
    assert!(none.headers.is_empty(), "the record itself is never cut");
    assert_eq!(none.value, record().value);
}

#[test]
fn no_character_is_cut_in_half() {
    let text = Bytes::from("ééé");
    let cuts: Vec<Bytes> = (0..7).map(|max| shortened(&text, max)).collect();
    assert_eq!(cuts, ["", "", "", "…", "…", "é…", "é…"]);
}

proptest! {
    /// A letter fits wherever the record itself would, and is valid UTF-8 where it is text.
    #[test]
    fn a_letter_fits_where_its_record_does(
        message: String,
        trap: Option<String>,
        room in 0..2000usize,
        set in prop::sample::select(vec![
            DeadLetterHeaders::Callgate,
            DeadLetterHeaders::Connect,
            DeadLetterHeaders::Spring,
        ]),
    ) {
        let failure = Failure { trap, ..Failure::new(Reason::Trap, message) };
        let record = record_with(&[("own", b"x")]);
        let bare = OutgoingRecord { headers: record.headers.clone(), ..letter(&record, &failure, &with_headers(set)) };
        let limit = bare.batch_size() + room;
        let letter = dead_letter(&record, &CONTEXT, &failure, &with_headers(set), None, limit);
        prop_assert!(letter.batch_size() <= limit);
        for name in headers::SHORTENED {
            prop_assert!(value_of(&letter, name).is_none_or(|text| std::str::from_utf8(text).is_ok()));
        }
    }
}

#[test]
fn topics_of_dead_letters_are_known_by_name() {
    let by_default = DeadLetterPolicy::default();
    assert!(takes_dead_letters(&dead_letter_topic("orders", &by_default), &by_default));
    assert!(!takes_dead_letters("orders", &by_default) && !takes_dead_letters("-dlt", &by_default));
    let named = DeadLetterPolicy { topic: Some("letters".into()), ..by_default };
    assert!(takes_dead_letters("letters", &named) && !takes_dead_letters("orders-dlt", &named));
}
