//! `callgate invoke` as a person types it.

use std::env;
use std::process::{Command, Output};

/// Runs the command with a guest of `guest-examples`.
fn invoke(guest: &str, arguments: &[&str]) -> Output {
    let guest = format!("{}/../guest-examples/out/{guest}.wasm", env!("CARGO_MANIFEST_DIR"));
    Command::new(env!("CARGO_BIN_EXE_callgate"))
        .arg("invoke")
        .arg(guest)
        .args(arguments)
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("the command starts")
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("text")
}

#[test]
fn the_reply_is_printed_like_a_response() {
    let arguments = ["--data", r#"{"drink":"mocha"}"#, "--key", "table-17", "--header", "correlation-id=42"];
    let output = invoke("coffee-rust", &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let (head, body) = text(&output.stdout).split_once("\n\n").expect("a head and a body");
    assert_eq!(
        head,
        "201 Created → invoke.replies, key table-17\n\
         content-type: application/json\n\
         correlation-id: 42\n\
         x-callgate-hops: 1"
    );
    assert!(body.starts_with(r#"{"drink":"mocha","#), "{body}");
}

#[test]
fn programs_get_one_object() {
    let arguments = ["--data", "no order", "--header", "reply-to=cafe.answers", "--format", "json"];
    let output = invoke("coffee-rust", &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let reply: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(reply["topic"], "cafe.answers");
    assert_eq!(reply["headers"][0], serde_json::json!(["status-code", "400"]));

    let output = invoke("coffee-rust", &[&arguments[..], &["--fail"]].concat());
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_failed_call_is_status_1_and_shows_the_error_reply() {
    for (path, status, message) in [
        ("/trap", "502 Bad Gateway → ", "callgate: trap: trapped: wasm `unreachable` instruction executed"),
        ("/no-response", "502 Bad Gateway → ", "callgate: no-response: the handler returned without a response"),
        ("/spin", "504 Gateway Timeout → ", "callgate: deadline: computed for 1s without an end"),
        ("/echo/{id}", "400 Bad Request → ", "callgate: invalid-request: "),
    ] {
        let output = invoke("mischief", &["--operation", &format!("POST {path}")]);
        assert_eq!(output.status.code(), Some(1), "{path}");
        assert!(text(&output.stdout).starts_with(status), "{path}: {}", text(&output.stdout));
        assert!(text(&output.stderr).contains(message), "{path}: {}", text(&output.stderr));
    }
}

#[test]
fn what_the_handler_writes_goes_to_stderr() {
    let output = invoke("mischief", &["--operation", "POST /log", "--data", "hello from the guest"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("hello from the guest"), "{}", text(&output.stderr));
    assert!(!text(&output.stdout).contains("hello"), "{}", text(&output.stdout));
}

#[test]
fn its_environment_is_what_was_given() {
    let output = invoke("mischief", &["--operation", "GET /env", "--env", "GREETING=hello=you"]);
    assert!(text(&output.stdout).ends_with("\n{\"GREETING\":\"hello=you\"}\n"), "{}", text(&output.stdout));
}

#[test]
fn wrong_usage_is_status_2() {
    for (guest, arguments, message) in [
        ("nothing", &[][..], "nothing.wasm cannot be read: "),
        ("coffee-rust", &["--operation", "POST"], "`POST` is no operation"),
        ("coffee-rust", &["--header", "reply-to"], "write it as NAME=VALUE"),
        ("coffee-rust", &["--data", "@nothing"], "the data, nothing, cannot be read"),
    ] {
        let output = invoke(guest, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(message), "{arguments:?}: {}", text(&output.stderr));
    }
}
