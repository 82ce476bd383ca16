use std::collections::BTreeSet;
use std::path::Path;

use callgate_core::failure::Reason;

use super::*;

#[test]
fn a_fault_says_where_what_and_what_to_do() {
    let place = Place::Line("callgate.toml".into(), 3);
    let fault = Fault::new(&place, Code::UnknownKey, "`limit` is not a key of this file", "did you mean `limits`?");
    assert_eq!(
        fault.to_string(),
        "callgate.toml:3: [config.unknown-key] `limit` is not a key of this file — did you mean `limits`?"
    );
}

#[test]
fn a_fault_is_one_line_whatever_a_stranger_has_written() {
    let place = Place::File("acme/\x1b[31mx\n.toml".into());
    let fault = Fault::new(&place, Code::ComponentMissing, "a\nforged line.wasm is not there", "put it there\x07");
    assert_eq!(
        fault.to_string(),
        "acme/\\u{1b}[31mx\\n.toml: [deploy.component-missing] a\\nforged line.wasm is not there — put it there\\u{7}"
    );
}

/// The codes that a part of `docs/errors.md` has sections for.
fn documented(part: &str) -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let part = page.split("\n## ").find(|text| text.lines().next() == Some(part)).expect("the part is there");
    let titles = part.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    titles.map(str::to_owned).collect()
}

fn codes(of_broker: bool) -> BTreeSet<String> {
    let codes = Code::ALL.iter().map(|code| code.as_str());
    codes.filter(|code| code.starts_with("broker.") == of_broker).map(str::to_owned).collect()
}

#[test]
fn every_code_has_its_section_in_the_documentation_and_no_section_is_left_over() {
    assert_eq!(documented("Configuration"), codes(false));
    assert_eq!(documented("Brokers"), codes(true));
}

#[test]
fn every_reason_of_a_dead_letter_has_its_section() {
    let reasons = [
        Reason::InvalidRequest,
        Reason::RequestTooLarge,
        Reason::TooManyHops,
        Reason::Trap,
        Reason::OutOfMemory,
        Reason::Deadline,
        Reason::NoResponse,
        Reason::Status,
        Reason::InvalidResponse,
        Reason::ResponseTooLarge,
        Reason::ReplyRefused,
        Reason::ReplyTooLarge,
        Reason::ReplyFailed,
    ];
    assert_eq!(documented("Dead letters"), reasons.iter().map(|reason| reason.as_str().to_owned()).collect());
}

#[test]
fn codes_are_told_apart() {
    let codes: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes.len(), Code::ALL.len());
}
