//! What a component is, found out from its exports and imports before anything is compiled.

use std::fmt;

use wasmparser::{Encoding, MemoryType, Parser, Payload, SectionLimited};

use super::outcome::plain;

/// The interface that a handler of WASI 0.2 exports, without its patch version.
const HANDLER_P2: &str = "wasi:http/incoming-handler@0.2.";

/// The same of WASI 0.3. A middleware imports it as well.
const HANDLER_P3: &str = "wasi:http/handler@0.3.";

/// How many names a sentence lists.
const NAMED: usize = 5;

/// Imports and exports of one component.
const MAX_NAMES: usize = 10_000;

/// A page of memory, where a module says nothing else: 64 KiB.
const PAGE_LOG2: u32 = 16;

/// Which WASI a component is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wasi {
    /// WASI 0.2: it exports `wasi:http/incoming-handler@0.2.x`.
    P2,
    /// WASI 0.3: it exports `wasi:http/handler@0.3.x`.
    P3,
}

/// How a component is called, and whether it calls another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Which of the two interfaces it exports.
    pub wasi: Wasi,
    /// It also imports `wasi:http/handler@0.3.x`: the world `wasi:http/middleware`, of components that wrap another one.
    pub wraps: bool,
    /// Bytes that its memories begin with, all together.
    pub memory: u64,
}

/// Why something is no handler: what it is instead, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAHandler {
    /// No WebAssembly at all.
    NotWasm,
    /// A core module.
    CoreModule,
    /// It begins like a component; the reason says where that ends.
    Malformed(String),
    /// A handler of WASI 0.2 and of WASI 0.3 at once: the names of the two exports.
    Both(String, String),
    /// A component that exports something else: the names of its exports.
    Neither(Vec<String>),
    /// A component that wraps another, and there is none.
    Middleware,
}

impl std::error::Error for NotAHandler {}

/// Looks through a component's exports and imports, without compiling it. It is not validated here: compiling does that.
///
/// # Errors
///
/// Where the bytes are no component that handles HTTP requests, in exactly one version of WASI.
pub fn check(bytes: &[u8]) -> Result<Interface, NotAHandler> {
    let Outline { imports, mut exports, memory } = outline(bytes)?;
    let of = |names: &[String], interface| names.iter().position(|name| is_stable(name, interface));
    let wasi = match (of(&exports, HANDLER_P2), of(&exports, HANDLER_P3)) {
        (Some(_), None) => Wasi::P2,
        (None, Some(_)) => Wasi::P3,
        (None, None) => return Err(NotAHandler::Neither(exports)),
        (Some(p2), Some(p3)) => {
            return Err(NotAHandler::Both(std::mem::take(&mut exports[p2]), std::mem::take(&mut exports[p3])));
        }
    };
    Ok(Interface { wasi, wraps: of(&imports, HANDLER_P3).is_some(), memory })
}

/// What is seen of a component at a glance: the names that it imports and exports, not those of the components in it; and
/// the bytes that all memories in it begin with.
#[derive(Default)]
pub(super) struct Outline {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
    pub(super) memory: u64,
}

pub(super) fn outline(bytes: &[u8]) -> Result<Outline, NotAHandler> {
    if !bytes.starts_with(b"\0asm") {
        return Err(NotAHandler::NotWasm);
    }
    let malformed = |error: wasmparser::BinaryReaderError| NotAHandler::Malformed(plain(&error.to_string()));
    let mut outline = Outline::default();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(malformed)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => return Err(NotAHandler::CoreModule),
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::MemorySection(section) => {
                for memory in section {
                    outline.memory = outline.memory.saturating_add(first_bytes(memory.map_err(malformed)?));
                }
            }
            Payload::ComponentImportSection(section) if depth == 1 => {
                few(&section, &outline)?;
                for import in section {
                    outline.imports.push(import.map_err(malformed)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                few(&section, &outline)?;
                for export in section {
                    outline.exports.push(export.map_err(malformed)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(outline)
}

fn first_bytes(memory: MemoryType) -> u64 {
    let page = memory.page_size_log2.unwrap_or(PAGE_LOG2);
    memory.initial.saturating_mul(1_u64.checked_shl(page).unwrap_or(u64::MAX))
}

/// Refuses more names than any component has whose author means well: a copy of each is made.
fn few<T>(section: &SectionLimited<'_, T>, before: &Outline) -> Result<(), NotAHandler> {
    let names = before.imports.len() + before.exports.len() + section.count() as usize;
    if names > MAX_NAMES {
        return Err(NotAHandler::Malformed(format!("it has more than {MAX_NAMES} imports and exports")));
    }
    Ok(())
}

/// Whether `name` is the interface in one of its stable versions. Drafts, such as `0.3.0-rc-2026-01-06`, are other interfaces.
fn is_stable(name: &str, interface: &str) -> bool {
    name.strip_prefix(interface)
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|letter| letter.is_ascii_digit()))
}

/// Names in a sentence. A component may have hundreds of them.
pub(super) fn some_of(names: &[String]) -> String {
    match names.split_at_checked(NAMED) {
        Some((first, rest)) if !rest.is_empty() => format!("`{}` and {} more", first.join("`, `"), rest.len()),
        _ => format!("`{}`", names.join("`, `")),
    }
}

impl fmt::Display for Wasi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P2 => "WASI 0.2",
            Self::P3 => "WASI 0.3",
        })
    }
}

impl fmt::Display for NotAHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWasm => write!(f, "this is no WebAssembly: it does not begin with `\\0asm`"),
            Self::CoreModule => write!(
                f,
                "this is a core module and not a component: build for the target wasm32-wasip2, or wrap it with \
                 `wasm-tools component new`"
            ),
            Self::Malformed(reason) => write!(f, "this is no valid component: {reason}"),
            Self::Middleware => write!(
                f,
                "the component imports `wasi:http/handler@0.3.x`, the handler that it wraps, and there is none behind it: \
                 name it in `middleware` of the handler that it is for"
            ),
            Self::Both(p2, p3) => write!(
                f,
                "the component exports both `{p2}` and `{p3}`, so it is not clear which one to call: export one of \
                 them"
            ),
            Self::Neither(exports) => {
                write!(
                    f,
                    "the component exports neither `wasi:http/incoming-handler@0.2.x` nor `wasi:http/handler@0.3.x`, \
                     so it is no HTTP handler: "
                )?;
                if exports.is_empty() {
                    write!(f, "it exports nothing")
                } else {
                    write!(f, "it exports {}", some_of(exports))
                }
            }
        }
    }
}
