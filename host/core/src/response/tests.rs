use super::*;

fn response(status: u16, fields: &[(&'static str, &'static str)]) -> Response<Bytes> {
    let builder =
        fields.iter().fold(Response::builder().status(status), |builder, (name, value)| builder.header(*name, *value));
    builder.body(Bytes::new()).expect("a response")
}

#[test]
fn without_steering_fields_nothing_is_asked() {
    let steering = check(&response(200, &[("content-type", "text/plain")])).expect("valid");
    assert_eq!((steering.key, steering.tombstone), (None, false));
    assert!(steering.decoded.is_empty());
}

#[test]
fn a_response_may_set_the_key() {
    let key = |fields: &[(&'static str, &'static str)]| check(&response(200, fields)).expect("valid").key;
    assert_eq!(key(&[("x-kafka-key", "k")]).as_deref(), Some(b"k".as_slice()));
    assert_eq!(key(&[("x-kafka-key", "")]).as_deref(), Some(b"".as_slice()));
    assert_eq!(key(&[("x-kafka-key", "first"), ("x-kafka-key", "last")]).as_deref(), Some(b"last".as_slice()));
    for (text, encoding) in [("AP8=", "base64"), ("AP8", "Base64")] {
        let decoded = key(&[("x-kafka-key", text), ("x-kafka-key-encoding", encoding)]);
        assert_eq!(decoded.as_deref(), Some(b"\0\xff".as_slice()));
    }
    assert_eq!(key(&[("x-kafka-key-encoding", "base64")]), None, "an encoding alone is no key");
}

#[test]
fn a_response_may_set_a_null_value() {
    assert!(check(&response(200, &[("x-kafka-tombstone", "true")])).expect("valid").tombstone);
    assert!(!check(&response(200, &[("x-kafka-tombstone", "false")])).expect("valid").tombstone);
}

#[test]
fn what_cannot_become_a_reply() {
    let cases = [
        (response(101, &[]), "the handler answered with status 101, and a response has one of 200 to 599"),
        (response(600, &[]), "the handler answered with status 600, and a response has one of 200 to 599"),
        (
            response(200, &[("x-kafka-tombstone", "yes")]),
            "the handler's `x-kafka-tombstone` is neither `true` nor `false`",
        ),
        (
            response(200, &[("x-kafka-key", "?"), ("x-kafka-key-encoding", "base64")]),
            "the handler's `x-kafka-key` is not base64",
        ),
        (
            response(200, &[("x-kafka-key", "a"), ("x-kafka-key-encoding", "hex")]),
            "the handler's `x-kafka-key-encoding` is not `base64`",
        ),
        (
            response(200, &[("a", "?"), ("x-kafka-encoded-headers", "a")]),
            "`a` is listed in `x-kafka-encoded-headers` and is not base64",
        ),
    ];
    for (response, message) in cases {
        let failure = check(&response).expect_err(message);
        assert_eq!((failure.reason, failure.message.as_str()), (Reason::InvalidResponse, message));
    }
}
