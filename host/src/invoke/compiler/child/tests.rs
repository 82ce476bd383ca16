//! How a child ends, played by scripts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::*;

const CONFINES: Confines = Confines { memory: 512 << 20, cpu: 7, code: 3 << 20, parallel: false };
const LONG: Duration = Duration::from_secs(600);

/// What comes of a child that does this; and what it has written as code.
fn child(script: &str, wall: Duration, stopped: &AtomicBool) -> (Result<(), CompileError>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("compiler");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("a script");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("a mode");
    let mut code = tempfile::tempfile().expect("a file");
    let order = Order { program: &program, bytes: b"component", code: &code, scratch: folder.path(), wall };
    let ended = order.compile(&CONFINES, &|| !stopped.load(Relaxed));
    let mut written = String::new();
    code.rewind().and_then(|()| code.read_to_string(&mut written)).expect("it can be read");
    (ended, written)
}

fn ending(script: &str) -> String {
    match child(script, LONG, &AtomicBool::new(false)).0 {
        Ok(()) => "done".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_child_gets_the_component_and_its_limits_and_nothing_else() {
    let (ended, written) = child("cat; echo \" $*\"; export -p", LONG, &AtomicBool::new(false));
    ended.expect("it ended well");
    let parent = std::process::id();
    let (line, environment) = written.split_once('\n').expect("lines");
    let arguments = format!("compile-component --memory {} --cpu 7 --code {} --parent {parent}", 512 << 20, 3 << 20);
    assert_eq!(line, format!("component {arguments}"));
    // What a shell sets by itself.
    assert!(
        environment.lines().all(|line| ["PWD", "OLDPWD", "SHLVL", "_"].iter().any(|own| line.contains(own))),
        "{environment}"
    );
}

#[test]
fn each_end_has_its_sentence() {
    for (script, expected) in [
        ("exit 0", "done"),
        ("echo 'type mismatch' >&2; exit 1", "the component does not compile: type mismatch"),
        ("printf 'two\\nlines \\033[1m' >&2; exit 1", "the component does not compile: two lines [1m"),
        ("kill -XCPU $$", "compiling it took more than 7 s of CPU time, the most for a component of its size"),
        ("kill -XFSZ $$", "its compiled code is larger than 3 MiB"),
        ("echo 'memory allocation of 64 bytes failed' >&2; kill -ABRT $$", "took more than 512 MiB of memory"),
        ("kill -KILL $$", "the compiler was killed, by a person or by the system where memory is short"),
        (
            "echo 'stack overflow' >&2; kill -SEGV $$",
            "the compiler crashed on it (signal: 11 (SIGSEGV)) stack overflow",
        ),
        ("echo 'panicked at x' >&2; exit 101", "the compiler crashed on it (exit status: 101) panicked at x"),
        ("echo 'no space left' >&2; exit 3", "a component cannot be compiled in a child process: no space left"),
        ("kill -TERM $$", "or the host stops"),
    ] {
        let ending = ending(script);
        assert!(ending.contains(expected), "{script}: {ending}");
    }
}

#[test]
fn what_is_not_the_components_fault_is_told_apart() {
    for (script, of_component) in
        [("exit 1", true), ("kill -XCPU $$", true), ("exit 3", false), ("kill -TERM $$", false)]
    {
        let error = child(script, LONG, &AtomicBool::new(false)).0.expect_err("a failure");
        assert_eq!(error.is_fault_of_component(), of_component, "{script}");
    }
}

#[test]
fn a_child_that_hangs_or_was_stopped_is_killed() {
    for script in ["exec sleep 1000", "kill -STOP $$"] {
        let error = child(script, Duration::from_secs(1), &AtomicBool::new(false)).0.expect_err("a failure");
        assert!(error.to_string().contains("did not end within 1 s, so it was killed"), "{script}: {error}");
    }
}

#[test]
fn a_stop_ends_the_child_at_once() {
    let stopped = AtomicBool::new(false);
    thread::scope(|scope| {
        let compile = scope.spawn(|| child("exec sleep 1000", LONG, &stopped).0);
        thread::sleep(Duration::from_millis(100));
        stopped.store(true, Relaxed);
        assert!(matches!(compile.join().expect("no panic"), Err(CompileError::Stopped)));
    });
}

#[test]
fn a_program_that_is_not_there_is_the_hosts_fault() {
    let code = tempfile::tempfile().expect("a file");
    let scratch = std::env::temp_dir();
    let order = Order { program: Path::new("/nowhere"), bytes: b"", code: &code, scratch: &scratch, wall: LONG };
    let error = order.compile(&CONFINES, &|| true).expect_err("a failure");
    assert!(matches!(error, CompileError::Host(_)), "{error}");
}
