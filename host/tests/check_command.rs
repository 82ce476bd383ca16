//! `callgate check` on handlers that are sound: what it says of their components.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

const OPERATOR: &str = "[kafka]\nbootstrap_servers = \"localhost:9\"\n[deploy]\ncache = \"cache\"\n\
    [tenants.acme]\nsecrets = { KEY = \"hunter2-hunter2\" }\noutbound = [\"https://api.example.com\"]\n[tenants.shop]\n";

const MANIFEST: &str = "[env]\nLOG_LEVEL = \"info\"\nAPI_KEY = \"${secret:KEY}\"\n";

/// Coffee for two tenants, one of which may call somebody.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("callgate.toml"), OPERATOR).expect("a file");
    let coffee = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-examples/out/mischief.wasm");
    for tenant in ["acme", "shop"] {
        let tenant = folder.path().join("handlers").join(tenant);
        fs::create_dir_all(&tenant).expect("a folder");
        fs::copy(&coffee, tenant.join("orders.wasm")).expect("`make -C guest-examples rust` builds it");
    }
    fs::write(folder.path().join("handlers/acme/orders.toml"), MANIFEST).expect("a file");
    folder
}

fn check(folder: &TempDir, arguments: &[&str]) -> Output {
    let output =
        Command::new(env!("CARGO_BIN_EXE_callgate")).arg("check").args(arguments).current_dir(folder.path()).output();
    output.expect("it starts")
}

#[test]
fn each_import_is_told_with_what_becomes_of_it() {
    let folder = folder();
    let output = check(&folder, &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let (acme, shop) = text.split_once("shop/orders ok").expect("two handlers");
    let line = |of: &str, word: &str| {
        let word = format!("    {word} ");
        of.lines().find(|line| line.starts_with(&word)).unwrap_or_else(|| panic!("no {word} in {of}")).to_owned()
    };
    assert!(acme.contains("  version sha256:") && acme.contains("  imports of orders.wasm\n"), "{acme}");
    assert!(line(acme, "given").contains("wasi:http/types@0.2."), "{acme}");
    assert!(
        line(acme, "environment").ends_with(": LOG_LEVEL, API_KEY")
            || line(acme, "environment").ends_with(": API_KEY, LOG_LEVEL"),
        "{acme}"
    );
    assert!(
        line(acme, "outbound").ends_with(": https://api.example.com:443")
            || line(acme, "outbound").ends_with(": https://api.example.com"),
        "{acme}"
    );
    let denied = line(acme, "denied");
    assert!(
        denied.contains("wasi:filesystem/types@0.2.") && denied.ends_with(": linked, and every use is refused"),
        "{denied}"
    );
    assert!(denied.contains("wasi:sockets/tcp@0.2."), "{denied}");
    assert!(line(shop, "outbound").ends_with(": denied, since the tenant's `outbound` is empty"), "{shop}");
    assert!(line(shop, "environment").ends_with(": empty, since the manifest has no `[env]`"), "{shop}");
    assert!(!text.contains("hunter2"), "a secret");
}

#[test]
fn programs_get_an_object_for_each_import() {
    let folder = folder();
    let output = check(&folder, &["--format", "json"]);
    let lines: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect();
    assert_eq!(lines.len(), 2);
    let imports = lines[0]["imports"].as_array().expect("a list");
    let import = |start: &str| {
        imports
            .iter()
            .find(|import| import["name"].as_str().is_some_and(|name| name.starts_with(start)))
            .expect("an import")
    };
    let environment = import("wasi:cli/environment@");
    assert_eq!((&environment["provision"], &environment["component"]), (&json!("environment"), &json!("orders.wasm")));
    let mut names: Vec<_> = environment["values"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["API_KEY", "LOG_LEVEL"]);
    assert_eq!(import("wasi:filesystem/preopens@")["provision"], json!("denied"));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("hunter2"), "a secret");
}

#[test]
fn what_does_not_start_is_a_fault_of_its_handler() {
    let folder = folder();
    // It imports what no host has, and exports a handler without its function.
    let hostile = wat::parse_str(
        r#"(component
             (import "acme:vault/keys@1.0.0" (instance (export "get" (func (result string)))))
             (instance $handler)
             (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))"#,
    );
    fs::write(folder.path().join("handlers/shop/orders.wasm"), hostile.expect("a component")).expect("a file");
    let output = check(&folder, &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("acme/orders ok\n") && text.contains("shop/orders refused\n"), "{text}");
    let fault = text.lines().find(|line| line.contains("deploy.component-refused")).expect("a fault");
    assert!(fault.contains("the component imports what the host does not have: `acme:vault/keys@1.0.0`"), "{fault}");
}
