//! What becomes an artifact, and what is refused.

use std::path::Path;

use super::*;

/// The entries of a cache, with what they say of when they were used.
fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
}

fn coffee() -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../guest-examples/out/coffee-rust.wasm");
    fs::read(path).expect("coffee")
}

async fn answers(artifact: Artifact) -> bool {
    let answer = invoker().call(&callable("coffee", Arc::new(artifact)), order(), &LIMITS).await;
    answer.expect("a response").status() == 201
}

#[test]
fn a_damaged_entry_of_the_cache_is_compiled_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("code");
    let first = compiler_at(cache.clone()).load(&coffee()).expect("a handler");
    let [entry] = &*entries(&cache) else { panic!("one entry") };
    let whole = fs::read(entry).expect("code");

    fs::write(entry, &whole[..whole.len() / 2]).expect("a file");
    let second = compiler_at(cache.clone()).load(&coffee()).expect("a handler");
    assert_eq!(second.digest(), first.digest());
    assert_eq!(fs::read(entry).expect("code"), whole, "the same code, under the same name");
    assert!(on_a_worker(answers(second)));
}

#[test]
fn a_component_is_compiled_once_and_held_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("code");
    let compiler = compiler_at(cache.clone());
    let first = compiler.load(&coffee()).expect("a handler");
    let second = compiler.load(&coffee()).expect("a handler");
    assert!(std::ptr::eq(first.code(), second.code()), "one open file");
    assert_eq!(entries(&cache).len(), 1);
}

#[test]
fn what_is_loaded_outlives_its_entry() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("code");
    let artifact = compiler_at(cache.clone()).load(&coffee()).expect("a handler");
    for entry in entries(&cache) {
        fs::remove_file(entry).expect("it can be unlinked");
    }
    assert!(on_a_worker(answers(artifact)));
}

#[test]
fn nothing_is_compiled_after_a_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let compiler = Compiler::new(
        &CacheSettings { folder: folder.path().join("code"), key: None },
        CompileIn::Child("/bin/true".into()),
    )
    .expect("a cache");
    compiler.stop();
    assert!(matches!(compiler.load(&coffee()), Err(CompileError::Stopped)));
}

#[test]
fn what_is_no_handler_is_refused_with_what_it_is_instead() {
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    // An empty instance, exported under names of so many letters.
    let exporting = |names: &[&str]| {
        let mut exports = vec![names.len() as u8];
        for name in names {
            exports.extend([0, name.len() as u8]);
            exports.extend(name.as_bytes());
            exports.extend([5, 0, 0]);
        }
        [COMPONENT, b"\x05\x03\x01\x01\0", &[0x0b, exports.len() as u8], &exports].concat()
    };
    let compiler = compiler();
    for (bytes, expected) in [
        (b"#!/bin/sh".to_vec(), "this is no WebAssembly"),
        (Vec::new(), "this is no WebAssembly"),
        (b"\0asm\x01\0\0\0".to_vec(), "a core module and not a component: build for the target wasm32-wasip2"),
        (b"\0asm\x0d\0\x01\0\x0b\x50".to_vec(), "this is no valid component"),
        (COMPONENT.to_vec(), "so it is no HTTP handler: it exports nothing"),
        (exporting(&["wasi:cli/run@0.2.6"]), "so it is no HTTP handler: it exports `wasi:cli/run@0.2.6`"),
        (exporting(&["wasi:http/handler@0.3.0-rc-2026-01-06"]), "it exports `wasi:http/handler@0.3.0-rc-2026-01-06`"),
        (exporting(&["wasi:http/incoming-handler@0.2."]), "it exports `wasi:http/incoming-handler@0.2.`"),
        (
            exporting(&["wasi:http/incoming-handler@0.2.12", "wasi:http/handler@0.3.0"]),
            "exports both `wasi:http/incoming-handler@0.2.12` and `wasi:http/handler@0.3.0`, so it is not clear",
        ),
    ] {
        let refusal = compiler.load(&bytes).expect_err("a refusal").to_string();
        assert!(refusal.contains(expected), "{refusal}");
    }
}
