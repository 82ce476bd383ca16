use proptest::prelude::*;

use super::*;

#[test]
fn names() {
    assert_eq!(record_attribute(b"ce_type"), Some(b"type".as_slice()));
    assert_eq!(record_attribute(b"CE_Type"), Some(b"Type".as_slice()));
    for other in [b"ce_".as_slice(), b"ce", b"ce-type", b"once_type", b""] {
        assert_eq!(record_attribute(other), None);
    }
    assert_eq!(http_attribute("ce-type"), Some("type"));
    assert_eq!(http_attribute("ce-"), None);
    assert_eq!(http_attribute("ce_type"), None);
}

#[test]
fn values_as_the_http_binding_writes_them() {
    // The second is the binding's own example.
    for (text, encoded) in [
        ("com.example/a?b", "com.example/a?b"),
        ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
        ("\"1%\"", "%221%25%22"),
        ("\n", "%0A"),
        ("", ""),
    ] {
        assert_eq!(encode(&Bytes::from(text)).as_deref(), Some(encoded.as_bytes()), "{text}");
        assert_eq!(decode(encoded.as_bytes()).as_deref(), Some(text.as_bytes()), "{encoded}");
    }
    assert_eq!(encode(&Bytes::from_static(b"\xff")), None);
}

#[test]
fn values_of_older_writers_and_wrong_ones() {
    for (value, decoded) in
        [("\"a b\"", "a b"), (r#""a \"b\" \\""#, r#"a "b" \"#), ("a b", "a b"), ("%e2%82%ac", "€"), ("\"", "\"")]
    {
        assert_eq!(decode(value.as_bytes()).as_deref(), Some(decoded.as_bytes()), "{value}");
    }
    assert_eq!(decode(b"%C0%A0"), None, "an overlong encoding is no UTF-8");
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(text: String) {
        let encoded = encode(&Bytes::from(text.clone())).expect("it is UTF-8");
        prop_assert!(encoded.iter().all(|byte| (0x21..=0x7e).contains(byte)));
        prop_assert_eq!(decode(&encoded).expect("it is UTF-8"), text);
    }
}
