use super::*;

const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_child_keeps_the_trace_and_changes_the_parent() {
    let parent = TraceParent::parse(VALID.as_bytes()).expect("valid");
    assert_eq!(parent.encode(), VALID);
    assert_eq!(parent.flags, 1);
    assert_eq!(parent.child([0xab; 8]).encode(), "00-0af7651916cd43dd8448eb211c80319c-abababababababab-01");
}

#[test]
fn a_higher_version_is_read_as_far_as_it_is_known() {
    let longer = VALID.replacen("00", "cc", 1) + "-what-the-future-will-be";
    assert_eq!(TraceParent::parse(longer.as_bytes()).expect("valid").encode(), VALID);
}

#[test]
fn what_is_not_valid_is_none() {
    let invalid = [
        String::new(),
        VALID[..54].to_owned(),
        format!("{VALID}-more"),
        VALID.replacen("00", "ff", 1),
        VALID.replacen("00", "cc", 1) + ".",
        VALID.to_uppercase(),
        VALID.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
        VALID.replace("b7ad6b7169203331", &"0".repeat(16)),
        VALID.replace("-b7", "_b7"),
        VALID.replace("b7ad", "b7ag"),
    ];
    for value in invalid {
        assert_eq!(TraceParent::parse(value.as_bytes()), None, "{value}");
    }
}
