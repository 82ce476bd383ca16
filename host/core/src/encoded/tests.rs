use super::*;

fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

fn bytes(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(text.as_bytes()))
}

#[test]
fn the_list_marks_nulls_by_their_place() {
    let [one, only, many, all] = ["one", "only-null", "many", "all-null"].map(HeaderName::from_static);
    let mut names = EncodedNames::default();
    assert_eq!(names.list(), None);
    [&one, &only, &many, &all].into_iter().for_each(|name| names.insert(name));
    assert_eq!(names.encode(&one, bytes("\0").as_ref()), "AA==");
    assert_eq!(names.encode(&only, None), "");
    for value in [None, bytes("x"), None] {
        names.encode(&many, value.as_ref());
    }
    for value in [None, None] {
        names.encode(&all, value);
    }
    assert!(names.contains(&one) && !names.contains(&HeaderName::from_static("other")));
    assert_eq!(names.list().expect("a list"), "one,only-null;null,many;null=0.2,all-null;null=0.1");
}

#[test]
fn a_list_is_read_as_it_is_written() {
    let headers = fields(&[
        ("a", "AAE="),
        ("b", ""),
        ("c", ""),
        ("c", "eA"),
        ("c", ""),
        ("plain", "AAE="),
        ("x-kafka-encoded-headers", "A, b;null,"),
        ("x-kafka-encoded-headers", "c ; null=0.2,absent,c;null=1"),
    ]);
    let decoded = decode(&headers).expect("a right list");
    assert_eq!(decoded["a"], [bytes("\0\x01")]);
    assert_eq!(decoded["b"], [None]);
    assert_eq!(decoded["c"], [None, bytes("x"), None]);
    assert_eq!(decoded.len(), 3);
}

#[test]
fn faults_are_named() {
    for (list, expected) in [
        ("a;nil", "`a;nil` in `x-kafka-encoded-headers` is none of `name`, `name;null` and `name;null=0.2`"),
        ("a;null=", "`a;null=` in `x-kafka-encoded-headers` is none of `name`, `name;null` and `name;null=0.2`"),
        ("b c", "`b c` in `x-kafka-encoded-headers` is none of `name`, `name;null` and `name;null=0.2`"),
        ("a", "`a` is listed in `x-kafka-encoded-headers` and is not base64"),
    ] {
        let headers = fields(&[("a", "no base64"), ("x-kafka-encoded-headers", list)]);
        assert_eq!(decode(&headers).expect_err(list), expected);
    }
}
