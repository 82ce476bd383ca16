use std::collections::BTreeSet;
use std::path::Path;

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
fn every_code_has_its_section_in_the_documentation_and_no_section_is_left_over() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let configuration = page.split("\n## ").find(|part| part.starts_with("Configuration")).expect("the part is there");
    let titles = configuration.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    let codes: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(titles.collect::<BTreeSet<_>>(), codes);
}

#[test]
fn codes_are_told_apart() {
    let codes: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes.len(), Code::ALL.len());
}
