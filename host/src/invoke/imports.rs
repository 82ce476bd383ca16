//! What a component imports, and what the host makes of it.

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::exports::{self, NotAHandler, some_of};

/// What becomes of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provision {
    /// It does what its interface says.
    Given,
    /// The handler's `[env]`, and nothing of the host's own.
    Environment,
    /// What is written there goes into the host's log.
    Log,
    /// Requests to the origins that the tenant may call, and of a middleware to the next component.
    Outbound,
    /// The next component of the chain.
    Next,
    /// It is there, and every use is denied: files, sockets, stdin, terminals.
    Denied,
    /// The host does not have it. A component that imports more than types of it is refused.
    Unknown,
}

/// One import of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// As the component names it: `wasi:io/streams@0.2.6`.
    pub name: String,
    /// What becomes of it.
    pub provision: Provision,
}

/// The interfaces of WASI 0.2 and 0.3 together, without their versions: those that both have mean the same.
const INTERFACES: [(&str, Provision); 35] = [
    ("wasi:cli/environment", Provision::Environment),
    ("wasi:cli/exit", Provision::Given),
    ("wasi:cli/stderr", Provision::Log),
    ("wasi:cli/stdin", Provision::Denied),
    ("wasi:cli/stdout", Provision::Log),
    ("wasi:cli/terminal-input", Provision::Denied),
    ("wasi:cli/terminal-output", Provision::Denied),
    ("wasi:cli/terminal-stderr", Provision::Denied),
    ("wasi:cli/terminal-stdin", Provision::Denied),
    ("wasi:cli/terminal-stdout", Provision::Denied),
    ("wasi:cli/types", Provision::Given),
    ("wasi:clocks/monotonic-clock", Provision::Given),
    ("wasi:clocks/system-clock", Provision::Given),
    ("wasi:clocks/types", Provision::Given),
    ("wasi:clocks/wall-clock", Provision::Given),
    ("wasi:filesystem/preopens", Provision::Denied),
    ("wasi:filesystem/types", Provision::Denied),
    ("wasi:http/client", Provision::Outbound),
    ("wasi:http/handler", Provision::Next),
    ("wasi:http/outgoing-handler", Provision::Outbound),
    ("wasi:http/types", Provision::Given),
    ("wasi:io/error", Provision::Given),
    ("wasi:io/poll", Provision::Given),
    ("wasi:io/streams", Provision::Given),
    ("wasi:random/insecure", Provision::Given),
    ("wasi:random/insecure-seed", Provision::Given),
    ("wasi:random/random", Provision::Given),
    ("wasi:sockets/instance-network", Provision::Denied),
    ("wasi:sockets/ip-name-lookup", Provision::Denied),
    ("wasi:sockets/network", Provision::Denied),
    ("wasi:sockets/tcp", Provision::Denied),
    ("wasi:sockets/tcp-create-socket", Provision::Denied),
    ("wasi:sockets/types", Provision::Denied),
    ("wasi:sockets/udp", Provision::Denied),
    ("wasi:sockets/udp-create-socket", Provision::Denied),
];

/// Looks through a component's imports, without compiling it.
///
/// # Errors
///
/// Where the bytes are no component.
pub fn imports(bytes: &[u8]) -> Result<Vec<Import>, NotAHandler> {
    let named = |name: String| Import { provision: provision(&name), name };
    Ok(exports::outline(bytes)?.imports.into_iter().map(named).collect())
}

/// Of a component that cannot be linked: what it imports and the host does not have, if that is why.
pub(super) fn missing(engine: &Engine, component: &Component) -> Option<String> {
    let kind = component.component_type();
    let unknown = kind.imports(engine).filter(|(name, item)| {
        let is_needed = match &item.ty {
            ComponentItem::ComponentInstance(instance) => instance.exports(engine).any(|(_, item)| is_code(&item.ty)),
            item => is_code(item),
        };
        is_needed && provision(name) == Provision::Unknown
    });
    let names: Vec<String> = unknown.map(|(name, _)| name.to_owned()).collect();
    (!names.is_empty()).then(|| some_of(&names))
}

/// Whether somebody has to implement it. Types are only names.
fn is_code(item: &ComponentItem) -> bool {
    !matches!(item, ComponentItem::Type(_))
}

fn provision(name: &str) -> Provision {
    let (interface, version) = name.split_once('@').unwrap_or((name, ""));
    let found = INTERFACES.iter().find(|(known, _)| *known == interface && is_wasi(version));
    found.map_or(Provision::Unknown, |(_, provision)| *provision)
}

/// Whether it is a stable version of WASI that the host has. Drafts, such as `0.3.0-rc-2026-01-06`, are other interfaces.
fn is_wasi(version: &str) -> bool {
    let patch = version.strip_prefix("0.2.").or_else(|| version.strip_prefix("0.3."));
    patch.is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|letter| letter.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_told_what_it_gets() {
        for (name, expected) in [
            ("wasi:io/streams@0.2.6", Provision::Given),
            ("wasi:cli/environment@0.2.0", Provision::Environment),
            ("wasi:cli/environment@0.3.0", Provision::Environment),
            ("wasi:filesystem/preopens@0.2.12", Provision::Denied),
            ("wasi:http/outgoing-handler@0.2.0", Provision::Outbound),
            ("wasi:http/client@0.3.2", Provision::Outbound),
            ("wasi:http/handler@0.3.0", Provision::Next),
            ("wasi:http/types@0.1.0", Provision::Unknown),
            ("wasi:http/types@0.3.0-rc-2026-01-06", Provision::Unknown),
            ("wasi:keyvalue/store@0.2.0-draft", Provision::Unknown),
            ("wasi:io/streams", Provision::Unknown),
            ("exec", Provision::Unknown),
        ] {
            assert_eq!(provision(name), expected, "{name}");
        }
    }
}
