//! `callgate compile` as an image build runs it, and what finds its work later.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const FILE: &str = "[kafka]\nbootstrap_servers = \"localhost:9\"\n[deploy]\ncache = \"cache\"\n[tenants.acme]\n";

/// A folder with an operator's file and these components of the tenant acme.
fn folder(operator: &str, components: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let acme = folder.path().join("handlers/acme");
    fs::create_dir_all(&acme).expect("a folder");
    fs::write(folder.path().join("callgate.toml"), operator).expect("a file");
    for (name, bytes) in components {
        fs::write(acme.join(name), bytes).expect("a file");
    }
    folder
}

fn guest(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../guest-examples/out/{name}.wasm"));
    fs::read(path).expect("`make -C guest-examples rust` builds it")
}

fn callgate(folder: &TempDir, arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_callgate")).args(arguments).current_dir(folder.path()).output();
    output.expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn entries(folder: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.path().join("cache")).expect("a cache");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn the_cache_is_filled_once_and_then_used() {
    let folder = folder(FILE, &[("coffee.wasm", &guest("coffee-rust")), ("extra.wasm", &guest("milk"))]);
    fs::write(folder.path().join("handlers/acme/coffee.toml"), "middleware = [\"extra.wasm\"]\n").expect("a manifest");

    let first = callgate(&folder, &["compile"]);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    let (lines, progress) = (text(&first.stdout), text(&first.stderr));
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("acme/coffee.wasm sha256:") && lines[0].contains(" compiled in "), "{}", lines[0]);
    assert!(lines[1].starts_with("acme/extra.wasm sha256:"), "{}", lines[1]);
    assert!(
        progress.contains("compiling acme/coffee.wasm") && progress.contains("2 components, 0 refused"),
        "{progress}"
    );
    assert_eq!(entries(&folder).len(), 2, "no drafts");

    let second = callgate(&folder, &["compile", "--format", "json"]);
    assert_eq!(second.status.code(), Some(0));
    for line in text(&second.stdout).lines() {
        let line: Value = serde_json::from_str(line).expect("an object");
        assert_eq!((&line["status"], &line["seconds"]), (&"cached".into(), &Value::Null), "{line}");
    }
    assert!(!text(&second.stderr).contains("compiling"), "{}", text(&second.stderr));

    let check = callgate(&folder, &["check"]);
    assert!(!text(&check.stderr).contains("compiling"), "{}", text(&check.stderr));
}

#[test]
fn what_does_not_compile_is_told_and_the_rest_is_compiled() {
    let coffee = guest("coffee-rust");
    let folder = folder(
        FILE,
        &[("bad.wasm", &coffee[..coffee.len() / 2]), ("coffee.wasm", &coffee), ("text.wasm", b"#!/bin/sh")],
    );
    let output = callgate(&folder, &["compile", "--cache", "elsewhere", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let lines: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let status: Vec<_> = lines.iter().map(|line| line["status"].as_str().expect("a status")).collect();
    assert_eq!(status, ["refused", "compiled", "refused"], "{lines:?}");
    assert!(lines[2]["reason"].as_str().is_some_and(|reason| reason.contains("no WebAssembly")), "{}", lines[2]);
    assert!(folder.path().join("elsewhere").is_dir() && !folder.path().join("cache").exists());
}

#[test]
fn secrets_of_the_host_need_not_be_there() {
    let operator = "[kafka]\nbootstrap_servers = \"${env:NOT_SET}\"\n[kafka.properties]\n\"sasl.password\" = \"${file:none}\"\n\
                    [deploy]\ncache = \"cache\"\n[tenants.acme.kafka_properties]\n\"sasl.password\" = \"${file:none}\"\n";
    let folder = folder(operator, &[("coffee.wasm", &guest("coffee-rust"))]);
    let output = callgate(&folder, &["compile"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(entries(&folder).len(), 1);
}

#[test]
fn a_faulty_configuration_is_status_2() {
    for (operator, expected) in [
        ("[kafka]\nbootstrap_server = \"localhost:9\"\n", "config.unknown-key"),
        (
            "[kafka]\nbootstrap_servers = \"localhost:9\"\n[deploy]\ncache_key = \"${env:NOT_SET}\"\n",
            "config.reference",
        ),
    ] {
        let output = callgate(&folder(operator, &[]), &["compile"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(expected) && output.stdout.is_empty(), "{}", text(&output.stderr));
    }
}

#[test]
fn a_cache_is_worth_something_only_to_who_has_its_key() {
    let keyed = |key: &str| FILE.replace("[tenants", &format!("cache_key = \"{key}\"\n[tenants"));
    let [ours, theirs] = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"].map(keyed);
    let folder = folder(&ours, &[("coffee.wasm", &guest("coffee-rust"))]);
    let compiled = |expected: bool| {
        let output = callgate(&folder, &["compile"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout).contains("compiled in"), expected, "{}", text(&output.stdout));
        text(&output.stderr)
    };
    compiled(true);
    compiled(false);
    for other in [&theirs, FILE] {
        fs::write(folder.path().join("callgate.toml"), other).expect("a file");
        assert!(compiled(true).contains("run.cache-entry"), "a warning");
        compiled(false);
    }
    fs::write(folder.path().join("callgate.toml"), &ours).expect("a file");
    compiled(false);
}
