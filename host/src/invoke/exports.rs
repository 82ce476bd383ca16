//! What a component offers, found out before anything is compiled.

use std::fmt;

use wasmparser::{Encoding, Parser, Payload};

use super::outcome::plain;

/// The interface that a handler exports, without its patch version.
const HANDLER: &str = "wasi:http/incoming-handler@0.2.";

/// The same of WASI 0.3.
const HANDLER_P3: &str = "wasi:http/handler@0.3.";

/// How many names a sentence lists.
const NAMED: usize = 5;

/// Why something is no handler: what it is instead, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAHandler {
    /// No WebAssembly at all.
    NotWasm,
    /// A core module.
    CoreModule,
    /// It begins like a component; the reason says where that ends.
    Malformed(String),
    /// A handler of WASI 0.3.
    Wasi03,
    /// A component that exports something else: the names of its exports.
    Exports(Vec<String>),
}

impl std::error::Error for NotAHandler {}

/// Looks through a component's exports, without compiling it. It is not validated here: compiling does that.
///
/// # Errors
///
/// Where the bytes are no component that handles HTTP requests of WASI 0.2.
pub fn check(bytes: &[u8]) -> Result<(), NotAHandler> {
    let Names { exports, .. } = names(bytes)?;
    if exports.iter().any(|name| name.starts_with(HANDLER)) {
        Ok(())
    } else if exports.iter().any(|name| name.starts_with(HANDLER_P3)) {
        Err(NotAHandler::Wasi03)
    } else {
        Err(NotAHandler::Exports(exports))
    }
}

/// The names that a component imports and exports; not those of the components in it.
#[derive(Default)]
pub(super) struct Names {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
}

pub(super) fn names(bytes: &[u8]) -> Result<Names, NotAHandler> {
    if !bytes.starts_with(b"\0asm") {
        return Err(NotAHandler::NotWasm);
    }
    let malformed = |error: wasmparser::BinaryReaderError| NotAHandler::Malformed(plain(&error.to_string()));
    let mut names = Names::default();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(malformed)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => return Err(NotAHandler::CoreModule),
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    names.imports.push(import.map_err(malformed)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    names.exports.push(export.map_err(malformed)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

/// Names in a sentence. A component may have hundreds of them.
pub(super) fn some_of(names: &[String]) -> String {
    match names.split_at_checked(NAMED) {
        Some((first, rest)) if !rest.is_empty() => format!("`{}` and {} more", first.join("`, `"), rest.len()),
        _ => format!("`{}`", names.join("`, `")),
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
            Self::Wasi03 => write!(
                f,
                "the component exports `wasi:http/handler` of WASI 0.3, which is not yet supported: build it for \
                 `wasi:http/incoming-handler@0.2.x`"
            ),
            Self::Exports(exports) => {
                write!(
                    f,
                    "the component does not export `wasi:http/incoming-handler@0.2.x`, so it is no HTTP handler: "
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
