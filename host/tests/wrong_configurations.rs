//! `docs/wrong-configurations.md` is true: each entry gives exactly the faults that it shows, from `callgate check` and,
//! where they are in the operator's file, from `callgate run`, which ends before it looks for a broker.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::{fs, io};

/// A component without any export, beside each manifest.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// What is said about that component: no matter of the page, and left out of the comparison.
const ABOUT_COMPONENT: &str = "it exports nothing";

/// An entry of the page.
#[derive(Default)]
struct Entry {
    title: String,
    /// Path and content.
    files: BTreeMap<String, String>,
    /// Commands that prepare the folder.
    commands: String,
    faults: Vec<String>,
}

impl Entry {
    /// Runs a command of callgate in a folder that the entry describes.
    fn run(&self, command: &str) -> io::Result<Output> {
        let folder = tempfile::tempdir()?;
        for (name, content) in &self.files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
            fs::write(&path, content)?;
            if name.starts_with("handlers/") {
                fs::write(path.with_extension("wasm"), COMPONENT)?;
            }
        }
        Command::new("sh")
            .arg("-ec")
            .arg(format!("{}\nexec \"$0\" {command}", self.commands))
            .arg(env!("CARGO_BIN_EXE_callgate"))
            // Nothing of this machine is touched, whatever the entry leaves at its default.
            .env("CALLGATE__DEPLOY__CACHE", folder.path().join("cache"))
            .current_dir(folder.path())
            .output()
    }

    /// The faults that keep `run` from starting.
    fn faults_of_operator(&self) -> Vec<&str> {
        let faults = self.faults.iter().map(String::as_str);
        faults.filter(|fault| fault.starts_with("callgate.toml") || fault.starts_with("environment ")).collect()
    }
}

/// The entries of the page, each with the operator's file of the introduction where it shows none.
fn entries() -> Vec<Entry> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/wrong-configurations.md");
    let page = fs::read_to_string(page).expect("the page is there");
    let mut sections = page.split("\n### ").map(read_entry);
    let introduction = sections.next().expect("a page has a beginning");
    let entries = sections.map(|mut entry| {
        for (name, content) in &introduction.files {
            entry.files.entry(name.clone()).or_insert(content.clone());
        }
        entry
    });
    entries.collect()
}

/// Reads the fenced blocks of a section: `toml NAME` is a file, `sh` are commands, `text` are the faults.
fn read_entry(section: &str) -> Entry {
    let mut lines = section.lines();
    let mut entry = Entry { title: lines.next().unwrap_or_default().to_owned(), ..Entry::default() };
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match info.split_once(' ') {
            Some(("toml", name)) => {
                entry.files.insert(name.to_owned(), block.join("\n") + "\n");
            }
            None if info == "sh" => entry.commands = block.join("\n"),
            None if info == "text" => entry.faults = block.into_iter().map(str::to_owned).collect(),
            _ => panic!("{}: a block of an unknown kind: {info}", entry.title),
        }
    }
    entry
}

/// The lines that are faults. In a listing of handlers they are indented.
fn faults(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    let lines = text.lines().map(str::trim).filter(|line| line.contains(": [") && !line.contains(ABOUT_COMPONENT));
    lines.map(str::to_owned).collect()
}

#[test]
fn check_says_what_the_page_says() {
    for entry in entries() {
        let output = entry.run("check").expect("callgate runs");
        assert_eq!(faults(&output.stdout), entry.faults, "{}", entry.title);
        assert_eq!(output.status.code(), Some(2), "{}", entry.title);
    }
}

#[test]
fn the_page_has_many_entries() {
    assert!(entries().len() >= 50, "{}", entries().len());
}

#[test]
fn run_does_not_start_with_a_fault_in_the_operators_file() {
    for entry in entries() {
        let expected = entry.faults_of_operator();
        if expected.is_empty() {
            continue;
        }
        let output = entry.run("run").expect("callgate runs");
        assert_eq!(faults(&output.stderr), expected, "{}", entry.title);
        assert_eq!(output.status.code(), Some(2), "{}", entry.title);
        assert!(output.stdout.is_empty(), "{}: stdout is for programs", entry.title);
    }
}
