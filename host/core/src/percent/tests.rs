use proptest::prelude::*;

use super::*;

#[test]
fn what_is_not_kept_is_encoded_once() {
    let mut out = String::new();
    encode(&mut out, "a/b?%2F é~".as_bytes(), unreserved);
    assert_eq!(out, "a%2Fb%3F%252F%20%C3%A9~");
    let mut out = String::new();
    encode_lowercase(&mut out, b"zilla:x", |byte| byte != b':');
    assert_eq!(out, "zilla%3ax");
}

#[test]
fn a_percent_without_digits_stands_for_itself() {
    for (encoded, decoded) in [("%41%4a%4A", "AJJ"), ("100%", "100%"), ("%4", "%4"), ("%zz%41", "%zzA"), ("%%41", "%A")]
    {
        assert_eq!(decode(encoded.as_bytes()), decoded.as_bytes(), "{encoded}");
    }
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(bytes: Vec<u8>) {
        let mut out = String::new();
        encode(&mut out, &bytes, unreserved);
        prop_assert!(out.bytes().all(|byte| unreserved(byte) || byte == b'%'));
        prop_assert_eq!(decode(out.as_bytes()), bytes);
    }
}
