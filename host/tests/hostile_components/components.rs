//! The components: what a broken build, a wrong file or somebody with bad intent drops into the deploy directory.

use std::fmt::Write as _;

/// Where a component's way must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Not compiled: it is refused with a sentence.
    Refused,
    /// Compiled, and refused with a sentence when it is tried.
    Tried,
    /// Nothing is wrong with it after all, only strange: it runs.
    Harmless,
    /// Any of these: which one depends on how fast the machine is.
    Contained,
}

/// One of them.
pub(crate) struct Hostile {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: End,
    /// Words that the sentence has.
    pub(crate) says: &'static str,
}

fn hostile(name: impl Into<String>, bytes: impl Into<Vec<u8>>, end: End, says: &'static str) -> Hostile {
    Hostile { name: name.into(), bytes: bytes.into(), end, says }
}

/// All of them. `coffee` is a handler that works.
pub(crate) fn all(coffee: &[u8]) -> Vec<Hostile> {
    [files(coffee), worlds(), modules(), starts(), sizes(), coffee_damaged(coffee)].into_iter().flatten().collect()
}

/// What is no component at all.
fn files(coffee: &[u8]) -> Vec<Hostile> {
    use End::Refused;
    let component = b"\0asm\x0d\0\x01\0";
    vec![
        hostile("empty file", b"", Refused, "no WebAssembly"),
        hostile("shell script", b"#!/bin/sh\nexec coffee\n", Refused, "no WebAssembly"),
        hostile("program of this machine", b"\x7fELF\x02\x01\x01", Refused, "no WebAssembly"),
        hostile("zip", b"PK\x03\x04\x14\0\0\0", Refused, "no WebAssembly"),
        hostile("gzip", b"\x1f\x8b\x08\0\0\0\0\0", Refused, "no WebAssembly"),
        hostile("text form", "(component)", Refused, "no WebAssembly"),
        hostile("half a header", b"\0asm", Refused, "no valid component"),
        hostile("a version to come", b"\0asm\x0e\0\x01\0", Refused, "no valid component"),
        hostile("core module", b"\0asm\x01\0\0\0", Refused, "core module"),
        hostile(
            "section longer than the file",
            [&component[..], b"\x0b\xff\xff\xff\xff\x0f"].concat(),
            Refused,
            "no valid component",
        ),
        // 10,001 exports, by its own account.
        hostile(
            "more names than anybody needs",
            [&component[..], b"\x0b\x02\x91\x4e"].concat(),
            Refused,
            "more than 10000 imports and exports",
        ),
        hostile(
            "number without an end",
            [&component[..], b"\x0b\x80\x80\x80\x80\x80\x80\x80\x80"].concat(),
            Refused,
            "no valid component",
        ),
        hostile("unknown section", [&component[..], b"\x7f\x01\0"].concat(), Refused, "exports nothing"),
        hostile(
            "name that is not UTF-8",
            [&component[..], b"\x05\x03\x01\x01\0\x0b\x08\x01\0\x02\xff\xfe\x05\0\0"].concat(),
            Refused,
            "no valid component",
        ),
        hostile("zeros after the end", [coffee, &[0; 4096]].concat(), Refused, "no valid component"),
        hostile("two in one file", [coffee, coffee].concat(), Refused, "no valid component"),
    ]
}

/// Components for another host.
fn worlds() -> Vec<Hostile> {
    use End::{Refused, Tried};
    const P2: &str = r#"(instance $p2) (export "wasi:http/incoming-handler@0.2.0" (instance $p2))"#;
    const P3: &str = r#"(instance $p3) (export "wasi:http/handler@0.3.0" (instance $p3))"#;
    vec![
        component("exports nothing", "", Refused, "exports nothing"),
        component(
            "a command",
            r#"(instance $run) (export "wasi:cli/run@0.2.6" (instance $run))"#,
            Refused,
            "wasi:cli/run@0.2.6",
        ),
        component(
            "a draft of 0.3",
            r#"(instance $i) (export "wasi:http/handler@0.3.0-rc-2026-01-06" (instance $i))"#,
            Refused,
            "wasi:http/handler@0.3.0-rc",
        ),
        component("both versions of WASI", format!("{P2} {P3}"), Refused, "both"),
        component("the interface without its function", P2, Tried, "handle"),
        component("the function with other types", other_types(), Tried, "tuple"),
        component(
            "a handler that is a function",
            r#"(core module $m (func (export "f"))) (core instance $i (instantiate $m)) (func $f (canon lift (core func $i "f"))) (export "wasi:http/incoming-handler@0.2.0" (func $f))"#,
            Tried,
            "does not have export `handle`",
        ),
        component(
            "an interface of somebody else's",
            format!(r#"(import "acme:vault/keys@1.0.0" (instance (export "get" (func (result string))))) {P2}"#),
            Tried,
            "imports what the host does not have: `acme:vault/keys@1.0.0`",
        ),
        component(
            "a proposal that the host does not have",
            format!(
                r#"(import "wasi:keyvalue/store@0.2.0-draft" (instance (export "bucket" (type (sub resource))))) {P2}"#
            ),
            Tried,
            "`wasi:keyvalue/store@0.2.0-draft`",
        ),
        component(
            "a bare function of the host",
            format!(r#"(import "exec" (func (param "command" string))) {P2}"#),
            Tried,
            "imports what the host does not have: `exec`",
        ),
        component(
            "a function that its interface does not have",
            format!(
                r#"(import "wasi:cli/exit@0.2.0" (instance (export "exec" (func (param "command" string))))) {P2}"#
            ),
            Tried,
            "the host's `wasi:cli/exit@0.2.0` is not what the component imports: instance export `exec`",
        ),
        component(
            "another version of the types",
            format!(r#"(import "wasi:http/types@0.1.0" (instance (export "fields" (type (sub resource))))) {P2}"#),
            Tried,
            "`wasi:http/types@0.1.0`",
        ),
        component("many imports", many_imports(), Tried, "and 95 more"),
    ]
}

/// Handlers around a core module that asks for too much, or for what the sandbox does not have.
fn modules() -> Vec<Hostile> {
    use End::{Refused, Tried};
    let blocks = |count| format!("(func {} {})", "block ".repeat(count), "end ".repeat(count));
    vec![
        handler("more memory than there is", "(memory 65536)", Tried, "memory"),
        handler("memory over the limit of the tenant", "(memory 4096)", Tried, "memory"),
        handler("a hundred memories", "(memory 1)".repeat(100), Tried, "memories count of 100 exceeds"),
        handler("five memories", "(memory 1)".repeat(5), Tried, "memories count of 5 exceeds"),
        handler("memory of 64 bits", "(memory i64 0x1000000)", Tried, "memory"),
        handler("shared memory", "(memory 1 1 shared)", Refused, "threads"),
        handler("a table of ten million", "(table 10000000 funcref)", Tried, "table"),
        handler("more tables than there are", "(table 1 funcref)".repeat(101), Refused, "table"),
        handler("forty tables", "(table 1 funcref)".repeat(40), Tried, "table"),
        handler("references that are collected", "(type (struct (field i32)))", Refused, ""),
        handler("exceptions", "(tag)", Refused, "exceptions"),
        handler("a type that does not fit", "(func (result i32) (f64.const 0))", Refused, "type mismatch"),
        handler("a call of what is not there", "(func (call 1000))", Refused, "unknown function"),
        handler(
            "more local variables than a function may have",
            format!("(func (local {}))", "i64 ".repeat(60_000)),
            Refused,
            "locals",
        ),
        handler("data outside of its memory", r#"(memory 1) (data (i32.const 70000) "x")"#, Tried, "out of bounds"),
        handler(
            "elements outside of their table",
            "(table 1 funcref) (func $f) (elem (i32.const 70000) $f)",
            Tried,
            "out of bounds",
        ),
        handler("blocks within blocks", blocks(20_000), End::Contained, ""),
        component("a hundred instances of one module", instances(100), Tried, "instances"),
        hostile("components within components", nested(2_000), Refused, ""),
        component("a type that doubles with every line", doubling_types(40), Refused, "type"),
        component(
            "start of a component",
            r#"(component $c (core module $m (func (export "f"))) (core instance $i (instantiate $m)) (func $f (canon lift (core func $i "f"))) (start $f))"#,
            Refused,
            "",
        ),
    ]
}

/// Handlers whose code runs before they are called.
fn starts() -> Vec<Hostile> {
    let start = |name: &str, code: &str, says| {
        handler(name, format!("(memory 1) (func $start {code}) (start $start)"), End::Tried, says)
    };
    vec![
        start("a start that spins", "(loop (br 0))", "computed for"),
        start("a start that traps", "unreachable", "unreachable"),
        start("a start that divides by zero", "(drop (i32.div_s (i32.const 1) (i32.const 0)))", "divide by zero"),
        start("a start that recurses", "call $start", "stack overflowed"),
        start(
            "a start that takes all memory",
            "(loop (br_if 0 (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0)))) unreachable",
            "wanted more than",
        ),
        start("a start that reads outside", "(drop (i32.load (i32.const -4)))", "out of bounds"),
        start(
            "a start that fills memory for ever",
            "(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br 0))",
            "computed for",
        ),
        component("a start that exits", exits(), End::Tried, "exit"),
    ]
}

/// Handlers that cost something.
fn sizes() -> Vec<Hostile> {
    use End::{Contained, Harmless};
    let repeated = |part: &str, count: usize| part.repeat(count);
    vec![
        handler("a hundred thousand functions", repeated("(func)", 100_000), Contained, ""),
        handler(
            "a table of sixty thousand branches",
            format!("(func (param i32) block (br_table {} (local.get 0)) end)", repeated("0 ", 60_000)),
            Contained,
            "",
        ),
        handler(
            "a function of many lines",
            format!(
                "(func (param i64) (result i64) (local.get 0) {})",
                repeated("(i64.mul (i64.add (local.get 0) (i64.const 7)))", 20_000)
            ),
            Contained,
            "",
        ),
        handler("a function with thousands of live values", live_values(4_000), Contained, ""),
        handler(
            "branches into each other",
            format!(
                "(func (param i32) {} {})",
                repeated("block loop ", 500),
                repeated("(br_if 0 (local.get 0)) (br_if 1 (local.get 0)) end end ", 500)
            ),
            Contained,
            "",
        ),
        handler(
            "data of sixteen megabytes",
            format!(r#"(memory 256) (data (i32.const 0) "{}")"#, "x".repeat(16 << 20)),
            Contained,
            "",
        ),
        handler(
            "a hundred thousand pieces of data",
            format!("(memory 1) {}", repeated(r#"(data (i32.const 0) "x")"#, 90_000)),
            Contained,
            "",
        ),
        handler("a hundred thousand exports", exports(100_000), Contained, ""),
        handler("a name without an end", format!(r#"(func (export "{}"))"#, "n".repeat(99_000)), Contained, ""),
        component("ten thousand functions lifted", lifts(10_000), Contained, ""),
        handler("a memory of its own, and nothing else", "(memory 1)", Harmless, ""),
    ]
}

/// A handler that works, cut off in many places and damaged in others.
fn coffee_damaged(coffee: &[u8]) -> Vec<Hostile> {
    let cut = (1..24).map(|part| {
        let length = coffee.len() * part / 24;
        hostile(format!("coffee, {length} bytes of it"), &coffee[..length], End::Refused, "")
    });
    let damaged = (0..24).map(|part| {
        let mut bytes = coffee.to_vec();
        let place = 8 + (bytes.len() - 8) * part / 24;
        bytes[place] ^= 0x55;
        hostile(format!("coffee with another byte at {place}"), bytes, End::Contained, "")
    });
    cut.chain(damaged).collect()
}

fn component(name: &str, text: impl AsRef<str>, end: End, says: &'static str) -> Hostile {
    let bytes = wat::parse_str(format!("(component {})", text.as_ref()));
    hostile(name, bytes.unwrap_or_else(|error| panic!("{name}: {error}")), end, says)
}

/// A component that is a handler, around a core module with these parts.
fn handler(name: &str, module: impl AsRef<str>, end: End, says: &'static str) -> Hostile {
    component(
        name,
        wrapped(&format!("(core module $m {} (func (export \"handle\") (param i32 i32)))", module.as_ref())),
        end,
        says,
    )
}

/// What makes a handler of a core module `$m` with a function `handle`.
fn wrapped(module: &str) -> String {
    format!(
        r#"(import "wasi:http/types@0.2.0" (instance $types
             (export "incoming-request" (type (sub resource)))
             (export "response-outparam" (type (sub resource)))))
           (alias export $types "incoming-request" (type $request))
           (alias export $types "response-outparam" (type $out))
           {module}
           (core instance $i (instantiate $m))
           (func $handle (param "request" (own $request)) (param "response-out" (own $out)) (canon lift (core func $i "handle")))
           (instance $handler (export "handle" (func $handle)))
           (export "wasi:http/incoming-handler@0.2.0" (instance $handler))"#
    )
}

fn other_types() -> &'static str {
    r#"(core module $m (func (export "handle") (param i32)))
       (core instance $i (instantiate $m))
       (func $handle (param "request" u32) (canon lift (core func $i "handle")))
       (instance $handler (export "handle" (func $handle)))
       (export "wasi:http/incoming-handler@0.2.0" (instance $handler))"#
}

fn exits() -> String {
    format!(
        r#"(import "wasi:cli/exit@0.2.0" (instance $exit (export "exit" (func (param "status" (result))))))
           (core func $exit (canon lower (func $exit "exit")))
           {}"#,
        wrapped(
            r#"(core module $leave (import "host" "exit" (func $exit (param i32))) (func $start (call $exit (i32.const 1))) (start $start))
               (core instance (instantiate $leave (with "host" (instance (export "exit" (func $exit))))))
               (core module $m (func (export "handle") (param i32 i32)))"#
        )
    )
}

fn many_imports() -> String {
    let mut text = String::new();
    for index in 0..100 {
        let _ = write!(text, r#"(import "acme:all/of{index}@1.0.0" (instance (export "f" (func))))"#);
    }
    text + r#"(instance $p2) (export "wasi:http/incoming-handler@0.2.0" (instance $p2))"#
}

fn instances(count: usize) -> String {
    wrapped(&format!(
        "(core module $one (func)) {} (core module $m (func (export \"handle\") (param i32 i32)))",
        "(core instance (instantiate $one))".repeat(count)
    ))
}

fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    for _ in 0..depth {
        let mut outer = b"\0asm\x0d\0\x01\0\x04".to_vec();
        leb128(&mut outer, bytes.len());
        outer.extend(bytes);
        bytes = outer;
    }
    bytes
}

fn leb128(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn doubling_types(lines: usize) -> String {
    let mut text = "(type $t0 (tuple u64 u64))".to_owned();
    for line in 1..lines {
        let _ = write!(text, "(type $t{line} (tuple $t{0} $t{0}))", line - 1);
    }
    text + r#"(instance $p2) (export "wasi:http/incoming-handler@0.2.0" (instance $p2))"#
}

/// All of them are there at once.
fn live_values(count: usize) -> String {
    let mut text = "(func (param i64) (result i64) ".to_owned();
    for value in 0..count {
        let _ = write!(text, "(i64.mul (local.get 0) (i64.const {value}))");
    }
    text + &"i64.add ".repeat(count - 1) + ")"
}

fn exports(count: usize) -> String {
    let mut text = "(func $f)".to_owned();
    for index in 0..count {
        let _ = write!(text, r#"(export "e{index}" (func $f))"#);
    }
    text
}

fn lifts(count: usize) -> String {
    wrapped(&format!(
        "(core module $m (func (export \"handle\") (param i32 i32)) (func (export \"f\")))
         (core instance $lifted (instantiate $m)) {}",
        "(func (canon lift (core func $lifted \"f\")))".repeat(count)
    ))
}
