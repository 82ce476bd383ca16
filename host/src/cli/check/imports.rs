//! What the components of a handler import, and what each of them gets.

use std::io;
use std::sync::Arc;

use crate::deploy::{ComponentFile, Handler};
use crate::invoke::{self, Provision};

/// What one component of a handler imports.
#[derive(Debug)]
pub(super) struct Imports {
    /// The component's file.
    pub(super) component: Arc<str>,
    /// What it imports, sorted by what becomes of it.
    pub(super) groups: Vec<Group>,
}

/// Imports of which the same becomes.
#[derive(Debug)]
pub(super) struct Group {
    /// What becomes of them, in a word.
    pub(super) word: &'static str,
    /// As the component names them.
    pub(super) names: Vec<String>,
    /// What comes through them: the names of variables, the origins that may be called.
    pub(super) values: Vec<String>,
    /// What else a person should know.
    pub(super) remark: Option<&'static str>,
}

/// What becomes of imports, in the order in which it is told. What is unknown and more than types has refused the handler.
const TOLD: [(Provision, &str); 7] = [
    (Provision::Given, "given"),
    (Provision::Environment, "environment"),
    (Provision::Log, "log"),
    (Provision::Next, "next"),
    (Provision::Outbound, "outbound"),
    (Provision::Denied, "denied"),
    (Provision::Unknown, "types only"),
];

/// What all components of a handler import.
///
/// # Errors
/// Where one cannot be read any more.
pub(super) fn of(handler: &Handler) -> io::Result<Vec<Imports>> {
    let middleware = handler.middleware.iter().map(|component| (component, true));
    let chain = middleware.chain([(&handler.component, false)]);
    chain.map(|(component, has_next)| of_component(handler, component, has_next)).collect()
}

fn of_component(handler: &Handler, component: &ComponentFile, has_next: bool) -> io::Result<Imports> {
    let imports = invoke::imports(&component.read()?).map_err(|refused| io::Error::other(refused.to_string()))?;
    let groups = TOLD.into_iter().map(|(provision, word)| {
        let names = imports.iter().filter(|import| import.provision == provision);
        let values: Vec<String> = match provision {
            Provision::Environment => handler.env.iter().map(|(name, _)| name.clone()).collect(),
            Provision::Outbound => {
                handler.tenant.settings.outbound.iter().map(|allowed| allowed.origin.to_string()).collect()
            }
            _ => Vec::new(),
        };
        let remark = remark(provision, values.is_empty(), has_next);
        Group { word, names: names.map(|import| import.name.clone()).collect(), values, remark }
    });
    let groups = groups.filter(|group| !group.names.is_empty()).collect();
    Ok(Imports { component: component.name().clone(), groups })
}

fn remark(provision: Provision, is_empty: bool, has_next: bool) -> Option<&'static str> {
    match provision {
        Provision::Next => Some("the component behind it"),
        Provision::Outbound if is_empty && has_next => {
            Some("the component behind it, and nobody else: the tenant's `outbound` is empty")
        }
        Provision::Outbound if has_next => Some("and the component behind it"),
        Provision::Outbound if is_empty => Some("denied, since the tenant's `outbound` is empty"),
        Provision::Environment if is_empty => Some("empty, since the manifest has no `[env]`"),
        Provision::Denied => Some("linked, and every use is refused"),
        Provision::Log => Some("goes into the host's log"),
        Provision::Given | Provision::Environment | Provision::Outbound | Provision::Unknown => None,
    }
}
