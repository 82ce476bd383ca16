//! Rules of the house: which room may know what. They are read from the source text, so that a rule that is broken
//! is told with its file and line, before any reviewer has to.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms that know only core, and the ports and channels that the pipeline gives them.
const SIBLINGS: [&str; 4] = ["consume", "invoke", "settle", "deploy"];

/// Where the Kafka client's C library is called, and where compiled code is mapped from the cache. All else is safe Rust.
const UNSAFE: [&str; 4] = [
    "host/src/broker/native.rs",
    "host/src/broker/native/describe.rs",
    "host/src/broker/native/transaction.rs",
    "host/src/invoke/load.rs",
];

/// What the host is measured beside: the same libraries, without the host.
const BENCHES: &str = "host/benches";

#[test]
fn only_the_broker_room_knows_the_kafka_client() {
    forbid(&["host"], outside(&["host/src/broker", BENCHES]), &["rdkafka", "rdkafka_sys"]);
}

#[test]
fn only_the_invoke_room_knows_the_webassembly_runtime() {
    let runtime = ["wasmtime", "wasmtime_wasi", "wasmtime_wasi_http"];
    forbid(&["host"], outside(&["host/src/invoke", BENCHES]), &runtime);
}

#[test]
fn core_has_no_clock_and_does_nothing_to_the_world() {
    let world =
        ["Instant::now", "SystemTime::now", "std::thread", "std::fs", "std::net", "std::env", "tokio", "tracing"];
    forbid(&["host/core"], |_| true, &world);
}

#[test]
fn core_depends_on_no_runtime() {
    let manifest = read("host/core/Cargo.toml");
    for runtime in ["rdkafka", "wasmtime", "tokio"] {
        assert!(!manifest.contains(runtime), "host/core/Cargo.toml: core knows nothing of {runtime}");
    }
}

#[test]
fn siblings_do_not_name_each_other() {
    for room in SIBLINGS {
        let others: Vec<_> =
            SIBLINGS.iter().filter(|other| **other != room).map(|other| format!("crate::{other}")).collect();
        let others: Vec<_> = others.iter().map(String::as_str).collect();
        forbid(&[&format!("host/src/{room}")], |_| true, &others);
    }
}

#[test]
fn unsafe_code_stays_in_the_files_that_are_looked_at_for_it() {
    forbid(&["host", "tests"], |path| !UNSAFE.contains(&path) && path != file!(), &["unsafe"]);
}

#[test]
fn every_alert_has_its_section_in_the_documentation_and_no_section_is_left_over() {
    let code = sources(&["host/src"]).map(read).collect::<Vec<_>>().join("\n");
    let mut alerts: Vec<&str> = code.split("code = \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    alerts.retain(|alert| alert.starts_with("run."));
    let page = read("docs/errors.md");
    let mut sections: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("### `run.")?.strip_suffix('`')).collect();
    let mut alerts: Vec<&str> = alerts.iter().map(|alert| &alert["run.".len()..]).collect();
    for list in [&mut alerts, &mut sections] {
        list.sort_unstable();
        list.dedup();
    }
    assert_eq!(alerts, sections);
}

#[test]
fn nothing_is_left_for_later() {
    forbid(&["host", "tests", "guest-examples"], |path| path != file!(), &["todo!", "unimplemented!"]);
    let notes: Vec<_> = sources(&["host", "tests", "guest-examples"])
        .filter(|path| path != file!())
        .filter(|path| ["TODO", "FIXME", "XXX"].iter().any(|note| read(path).contains(note)))
        .collect();
    assert!(notes.is_empty(), "a note for later is an issue, not a comment: {notes:?}");
}

#[test]
fn every_example_is_built_and_so_goes_through_the_scenarios() {
    let makefile = read("guest-examples/Makefile");
    let examples = fs::read_dir(root().join("guest-examples")).expect("the examples are there");
    for name in examples.map(|entry| entry.expect("a folder can be read").file_name().to_string_lossy().into_owned()) {
        if name.starts_with("coffee-") {
            assert!(makefile.contains(&format!("out/{name}.wasm")), "guest-examples/Makefile does not build {name}");
        }
    }
}

/// Fails with every place where one of the words stands in code. Comments may name what they like.
fn forbid(folders: &[&str], applies: impl Fn(&str) -> bool, words: &[&str]) {
    let mut broken = Vec::new();
    for path in sources(folders).filter(|path| applies(path)) {
        for (number, line) in read(&path).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in words.iter().filter(|word| has_word(code, word)) {
                broken.push(format!("{path}:{}: `{word}` does not belong here", number + 1));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

fn outside(rooms: &[&str]) -> impl Fn(&str) -> bool {
    move |path| !rooms.iter().any(|room| path.starts_with(room))
}

/// Whether the word stands there, and not as a part of another.
fn has_word(code: &str, word: &str) -> bool {
    let part_of_a_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.match_indices(word).any(|(start, _)| {
        !code[..start].ends_with(part_of_a_word) && !code[start + word.len()..].starts_with(part_of_a_word)
    })
}

/// The Rust sources below these folders, by their path from the root.
fn sources(folders: &[&str]) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    folders.iter().for_each(|folder| collect(&root().join(folder), &mut found));
    let root = root();
    found.into_iter().map(move |path| path.strip_prefix(&root).expect("it is below the root").display().to_string())
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("a folder can be read").path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !["target", "out", "node_modules"].contains(&&*name) && !name.starts_with('.') {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie below the root").to_path_buf()
}
