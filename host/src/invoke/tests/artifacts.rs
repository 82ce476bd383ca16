//! What becomes an artifact, and what is refused.

use super::*;

#[test]
fn a_damaged_entry_of_the_cache_is_compiled_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { cache_dir: folder.path().join("code"), ..settings() };
    let compiler = Compiler::new(&settings).expect("a compiler");
    let bytes = fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../guest-examples/out/coffee-rust.wasm"))
        .expect("coffee");

    let first = compiler.load(&bytes).expect("a handler");
    let written = fs::metadata(first.code()).and_then(|about| about.modified()).expect("a file");
    let second = compiler.load(&bytes).expect("a handler");
    assert_eq!(fs::metadata(second.code()).and_then(|about| about.modified()).expect("a file"), written);

    fs::write(first.code(), b"half of a f").expect("a file");
    let third = compiler.load(&bytes).expect("a handler");
    assert_eq!(third.digest(), first.digest());
    let response = on_a_worker(async {
        invoker().call(&callable("coffee", Arc::new(third)), order(), &LIMITS).await.expect("a response")
    });
    assert_eq!(response.status(), 201);
}

#[test]
fn what_is_no_handler_is_refused_with_what_it_is_instead() {
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    // An empty instance, exported under a name of so many letters.
    let exporting = |name: &str| {
        let mut bytes = [COMPONENT, b"\x05\x03\x01\x01\0"].concat();
        let length = name.len() as u8;
        bytes.extend([0x0b, length + 6, 1, 0, length]);
        bytes.extend(name.as_bytes());
        bytes.extend([5, 0, 0]);
        bytes
    };
    let compiler = Compiler::new(&settings()).expect("a compiler");
    for (bytes, expected) in [
        (b"#!/bin/sh".to_vec(), "this is no WebAssembly"),
        (Vec::new(), "this is no WebAssembly"),
        (b"\0asm\x01\0\0\0".to_vec(), "a core module and not a component: build for the target wasm32-wasip2"),
        (b"\0asm\x0d\0\x01\0\x0b\x50".to_vec(), "this is no valid component"),
        (COMPONENT.to_vec(), "so it is no HTTP handler: it exports nothing"),
        (exporting("wasi:cli/run@0.2.6"), "so it is no HTTP handler: it exports `wasi:cli/run@0.2.6`"),
        (exporting("wasi:http/handler@0.3.0-rc-2026-01-06"), "it exports `wasi:http/handler@0.3.0-rc-2026-01-06`"),
        (exporting("wasi:http/incoming-handler@0.2."), "it exports `wasi:http/incoming-handler@0.2.`"),
    ] {
        let refusal = compiler.load(&bytes).expect_err("a refusal").to_string();
        assert!(refusal.contains(expected), "{refusal}");
    }
}
