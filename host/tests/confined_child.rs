//! The child process in which components are compiled: what it gives up before it reads a component, and when it ends.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use callgate::invoke::{CacheSettings, CompileIn, Compiler};
use rustix::io::FdFlags;

const CALLGATE: &str = env!("CARGO_BIN_EXE_callgate");

fn coffee() -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-examples/out/coffee-rust.wasm"))
        .expect("`make -C guest-examples rust` builds coffee")
}

/// The child as the host starts it, with these limits.
fn child(memory: u64, cpu: u64, code: u64) -> Command {
    child_of(std::process::id(), memory, cpu, code)
}

fn child_of(parent: u32, memory: u64, cpu: u64, code: u64) -> Command {
    let mut command = Command::new(CALLGATE);
    command
        .arg("compile-component")
        .args(["--memory", &memory.to_string(), "--cpu", &cpu.to_string(), "--code", &code.to_string()])
        .args(["--parent", &parent.to_string()])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn about(child: u32, what: &str) -> String {
    fs::read_to_string(format!("/proc/{child}/{what}")).unwrap_or_default()
}

/// Waits until something holds, for as long as a test may take.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn has_ended(child: u32) -> bool {
    let status = about(child, "status");
    status.is_empty() || status.contains("State:\tZ")
}

fn end(mut child: Child) {
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

#[test]
fn a_component_is_compiled_in_a_child_and_found_in_the_cache_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = CacheSettings { folder: folder.path().join("code"), key: None };
    let first = Compiler::new(&cache, CompileIn::Child(CALLGATE.into())).expect("a cache").load(&coffee());
    let second = Compiler::new(&cache, CompileIn::Child("/nowhere".into())).expect("a cache").load(&coffee());
    assert_eq!(first.expect("a handler").digest(), second.expect("a handler").digest());
}

#[test]
fn the_child_gives_up_all_that_it_does_not_need() {
    let open = File::open("/dev/null").expect("a file");
    rustix::io::fcntl_setfd(&open, FdFlags::empty()).expect("it can be inherited");
    let child = child(3 << 30, 90, 5 << 20).spawn().expect("it starts");
    let id = child.id();
    // The last thing it does before it waits for the component.
    eventually("it confines itself", || about(id, "oom_score_adj").trim() == "1000");

    let limits = about(id, "limits");
    for (name, limit) in
        [("address space", 3u64 << 30), ("cpu time", 90), ("file size", 5 << 20), ("core file size", 0)]
    {
        let line = limits.lines().find(|line| line.starts_with(&format!("Max {name}"))).expect(name);
        let values: Vec<_> = line.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect();
        assert_eq!(values, [limit.to_string(), limit.to_string()], "{line}");
    }
    let stat = about(id, "stat");
    let niceness = stat.rsplit(") ").next().and_then(|fields| fields.split(' ').nth(16)).expect("a field");
    assert_eq!(niceness, "19");
    assert_eq!(about(id, "environ"), "");
    let mut descriptors: Vec<_> = fs::read_dir(format!("/proc/{id}/fd"))
        .expect("its descriptors")
        .map(|entry| entry.expect("one").file_name().into_string().expect("a number"))
        .collect();
    descriptors.sort();
    assert_eq!(descriptors, ["0", "1", "2"]);
    end(child);
}

#[test]
fn the_child_ends_with_its_parent() {
    // The shell that is its parent; its own input stays open, so that the child waits for the component.
    let script = format!(
        "exec 3<&0; {CALLGATE} compile-component --memory {} --cpu 9 --code 9 --parent $$ <&3 & echo $!; wait",
        3u64 << 30
    );
    let mut parent = Command::new("/bin/sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut line = String::new();
    BufReader::new(parent.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let child: u32 = line.trim().parse().expect("its id");
    eventually("it confines itself", || about(child, "oom_score_adj").trim() == "1000");
    parent.kill().expect("it runs");
    eventually("it ends", || has_ended(child));
    parent.wait().expect("it ends");
}

#[test]
fn a_child_that_is_nobodys_does_nothing() {
    let output = child_of(1, 3 << 30, 9, 9).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("its parent has ended") && output.status.code() == Some(3), "{said}");
}

/// How the child ends with little of one thing.
fn starved(memory: u64, cpu: u64, code: u64, component: &[u8]) -> (Option<i32>, String) {
    use std::os::unix::process::ExitStatusExt;

    let code_file = tempfile::tempfile().expect("a file");
    let mut child = child(memory, cpu, code).arg("--parallel").stdout(code_file).spawn().expect("it starts");
    // It may end before it has read all.
    let _ = child.stdin.take().expect("a pipe").write_all(component);
    let output = child.wait_with_output().expect("it ends");
    (output.status.signal(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn its_limits_hold() {
    const PLENTY: u64 = 8 << 30;
    let (signal, said) = starved(PLENTY, 100, PLENTY, &coffee());
    assert_eq!((signal, &*said), (None, ""));
    let (signal, _) = starved(PLENTY, 100, 4 << 10, &coffee());
    assert_eq!(signal, Some(rustix::process::Signal::XFSZ.as_raw()));
    // The allocator has a reserve from before the limit; the threads of the compiler find no room for their stacks.
    let (signal, said) = starved(1 << 20, 100, PLENTY, &coffee());
    assert!(signal.is_none() && said.contains("Resource temporarily unavailable"), "{said}");
}
