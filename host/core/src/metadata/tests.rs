use proptest::prelude::*;

use super::*;

const TOPIC: [u8; 16] = [9; 16];

fn metadata(ended: Ended) -> Metadata {
    Metadata { topic_id: TOPIC, sequence: 17, ended }
}

#[test]
fn nothing_ended_above_is_short() {
    let text = metadata(Ended::none()).encode(1234);
    assert!(text.starts_with("callgate/1:") && text.len() < 64, "{text}");
    assert_eq!(Metadata::decode(text.as_bytes(), TOPIC, 1234), Some(metadata(Ended::none())));
}

#[test]
fn the_shorter_form_is_used() {
    let sparse = Ended::new(vec![0, 1_000_000], 2_000_000);
    assert_eq!(encode_ended(&sparse).0, GAPS);
    let dense = Ended::new((0..1000).step_by(2).collect(), 1000);
    assert_eq!(encode_ended(&dense).0, BITMAP);
    for ended in [sparse, dense] {
        let text = metadata(ended.clone()).encode(0);
        assert_eq!(Metadata::decode(text.as_bytes(), TOPIC, 0), Some(metadata(ended)));
    }
}

#[test]
fn text_of_others_is_ignored() {
    for text in [
        "",
        "callgate/1:",
        "callgate/2:AAAA",
        "spring",
        "{\"offset\":3}",
        "callgate/1:AAAA",
        "callgate/1:====",
        "\u{fffd}",
    ] {
        assert_eq!(Metadata::decode(text.as_bytes(), TOPIC, 0), None, "{text}");
    }
    let ours = metadata(Ended::new(vec![5], 9)).encode(5);
    assert!(Metadata::decode(ours.as_bytes(), TOPIC, 5).is_some());
    assert_eq!(Metadata::decode(ours.as_bytes(), TOPIC, 6), None, "the offset was moved by hand");
    assert_eq!(Metadata::decode(ours.as_bytes(), [8; 16], 5), None, "the topic was made again");
    assert!(Metadata::decode(ours.as_bytes(), UNKNOWN_TOPIC, 5).is_some(), "a broker without topic ids");
}

#[test]
fn a_topic_that_was_made_again_is_noticed() {
    let of = |topic_id| Metadata { topic_id, sequence: 1, ended: Ended::none() };
    assert!(of(TOPIC).is_of_another_topic([8; 16]));
    assert!(!of(TOPIC).is_of_another_topic(TOPIC));
    assert!(!of(TOPIC).is_of_another_topic(UNKNOWN_TOPIC), "a broker without topic ids");
    assert!(!of(UNKNOWN_TOPIC).is_of_another_topic(TOPIC), "committed without one");
}

#[test]
fn contradictions_behind_a_right_checksum_are_ignored() {
    let with_payload = |form: u8, payload: &[u8]| {
        let mut raw = vec![form];
        raw.extend([TOPIC.as_slice(), &1u64.to_be_bytes(), &i64::MAX.to_be_bytes(), payload].concat());
        let checksum = crc32(&raw);
        raw.extend(checksum.to_be_bytes());
        Metadata::decode(format!("{PREFIX}{}", BASE64_STANDARD_NO_PAD.encode(raw)).as_bytes(), TOPIC, i64::MAX)
    };
    assert_eq!(with_payload(GAPS, &[0]), None, "a gap of nothing");
    assert_eq!(with_payload(GAPS, &[1]), None, "an offset above all numbers");
    assert_eq!(with_payload(GAPS, &[0x80]), None, "half a number");
    assert_eq!(with_payload(GAPS, &[0xff; 11]), None, "a number too long");
    assert_eq!(with_payload(BITMAP, &[0]), None, "a bitmap above all numbers");
    assert_eq!(with_payload(7, &[0]), None, "an unknown form");
}

#[test]
fn the_checksum_is_the_usual_one() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
}

/// An offset, and what has ended above it.
fn ended() -> impl Strategy<Value = (i64, Ended)> {
    let widest = prop::sample::select(vec![1i64, 2, 100, 1 << 40]);
    let gaps = widest.prop_flat_map(|widest| prop::collection::vec(1..=widest, 1..80));
    (0..1i64 << 50, gaps).prop_map(|(base, gaps)| {
        let mut offsets = vec![base];
        for gap in gaps {
            offsets.push(offsets[offsets.len() - 1] + gap);
        }
        // `end` is one above an offset that has ended, so it does not follow an unended one.
        let end = offsets.pop().unwrap_or(base) + 1;
        (base, Ended::new(offsets, end))
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read((base, ended) in ended(), sequence: u64) {
        let metadata = Metadata { topic_id: TOPIC, sequence, ended };
        prop_assert_eq!(Metadata::decode(metadata.encode(base).as_bytes(), TOPIC, base), Some(metadata));
    }

    #[test]
    fn one_wrong_character_is_noticed((base, ended) in ended(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let text = metadata(ended).encode(base).into_bytes();
        let mut corrupt = text.clone();
        corrupt[at.index(text.len())] = to;
        prop_assume!(corrupt != text);
        prop_assert_eq!(Metadata::decode(&corrupt, TOPIC, base), None);
    }

    #[test]
    fn a_cut_text_is_noticed((base, ended) in ended(), at in any::<prop::sample::Index>()) {
        let text = metadata(ended).encode(base);
        prop_assert_eq!(Metadata::decode(&text.as_bytes()[..at.index(text.len())], TOPIC, base), None);
    }

    #[test]
    fn no_text_ends_the_reader(text in prop::collection::vec(any::<u8>(), 0..200), offset: i64) {
        prop_assert_eq!(Metadata::decode(&text, TOPIC, offset), None);
    }

    #[test]
    fn no_payload_ends_the_reader(form in 0..4u8, payload in prop::collection::vec(any::<u8>(), 0..100), base: i64) {
        let mut raw = vec![form];
        raw.extend([TOPIC.as_slice(), &1u64.to_be_bytes(), &base.to_be_bytes(), &payload].concat());
        raw.extend(crc32(&raw).to_be_bytes());
        let text = format!("{PREFIX}{}", BASE64_STANDARD_NO_PAD.encode(raw));
        if let Some(read) = Metadata::decode(text.as_bytes(), TOPIC, base) {
            prop_assert!(read.ended == Ended::none() || !read.ended.contains(base));
        }
    }
}
