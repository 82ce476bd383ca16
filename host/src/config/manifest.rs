//! A tenant's file: one handler's component, routes and environment.

use std::path::{Component, Path};
use std::sync::Arc;

use super::document::{Document, Source};
use super::env::{self, Variable};
use super::fault::{Code, Fault, Located, Place};
use super::names::check_name;
use super::reader::{Section, Text};
use super::references::References;

mod route;

pub(crate) use route::{RETRY, RouteManifest, default_operation};

/// How often a middleware may call on where the manifest does not say.
const MAX_NEXT_CALLS: u32 = 1;

/// Components around a handler's own.
const MAX_MIDDLEWARE: usize = 8;

/// Routes of one handler.
const MAX_ROUTES: usize = 256;

/// A manifest as it was written: sound in itself, not yet joined to its tenant.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    /// Which component.
    pub(crate) component: ComponentName,
    /// The component's SHA-256 as `sha256:` and 64 lower-case digits, where the manifest insists on it.
    pub(crate) digest: Option<Located<String>>,
    /// The components around it, outermost first.
    pub(crate) middleware: Vec<Located<String>>,
    /// How often each of those may call on.
    pub(crate) max_next_calls: u32,
    /// A consumer group of its own within the tenant.
    pub(crate) group: Option<String>,
    /// The routes; `None` where the manifest has none, and the handler gets the one that it would have without it.
    pub(crate) routes: Option<Vec<RouteManifest>>,
    /// The guest's environment, in the file's order; secrets are still to be filled in.
    pub(crate) env: Vec<Variable>,
    /// How many of a new version's first records may trap before the version before takes its place again.
    pub(crate) rollback: Option<u32>,
    /// The file.
    pub(crate) place: Place,
}

/// Which component a manifest means.
#[derive(Clone, Debug)]
pub(crate) enum ComponentName {
    /// The one beside the manifest, of the same name.
    Beside,
    /// This one, relative to the tenant's folder and within it.
    Named(Located<String>),
    /// What is written has been reported as a fault.
    Faulty,
}

/// The components that a manifest names, as they are written there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedComponents {
    /// The handler's; `None` where the manifest leaves it to the one beside.
    pub(crate) component: Option<String>,
    /// Those that wrap it.
    pub(crate) middleware: Vec<String>,
    /// The text is TOML. Of one that is not, nobody knows what else it means.
    pub(crate) are_all: bool,
}

/// What was read of a manifest.
#[derive(Debug)]
pub(crate) struct ManifestRead {
    /// The manifest; `None` where the file is not TOML. Where there are faults, a faulty value has its default.
    pub(crate) manifest: Option<Manifest>,
    /// All that is wrong.
    pub(crate) faults: Vec<Fault>,
}

impl Manifest {
    /// What a component without a manifest gets; `place` is the component.
    pub(crate) fn none(place: Place) -> Self {
        Self {
            component: ComponentName::Beside,
            digest: None,
            middleware: Vec::new(),
            max_next_calls: MAX_NEXT_CALLS,
            group: None,
            routes: None,
            env: Vec::new(),
            rollback: None,
            place,
        }
    }

    /// Reads a manifest's text; `name` is how messages call the file.
    pub(crate) fn read(name: &str, text: String) -> ManifestRead {
        let source = Source { name: name.into(), text };
        let (manifest, faults) = Document::read(&source, References::Tenant, None, |root| read(root, &source.name));
        ManifestRead { manifest, faults }
    }

    /// The components that a manifest's text names, as far as it can be understood at all: a faulty manifest has them
    /// too, and none of them is a handler of its own.
    pub(crate) fn named_components(text: &str) -> NamedComponents {
        let (root, errors) = toml::de::DeTable::parse_recoverable(text);
        let component = root.get_ref().get("component").and_then(|value| value.get_ref().as_str());
        let middleware = root.get_ref().get("middleware").and_then(|value| value.get_ref().as_array());
        let middleware = middleware.into_iter().flatten().filter_map(|item| item.get_ref().as_str());
        NamedComponents {
            component: component.map(str::to_owned),
            middleware: middleware.map(str::to_owned).collect(),
            are_all: errors.is_empty(),
        }
    }
}

fn read(root: &mut Section<'_>, name: &Arc<str>) -> Manifest {
    Manifest {
        component: component(root),
        digest: digest(root),
        middleware: middleware(root),
        max_next_calls: root.count("max_next_calls", 1..=1000).map_or(MAX_NEXT_CALLS, |count| count.value as u32),
        group: group(root),
        routes: routes(root),
        env: env::read(root),
        rollback: rollback(root),
        place: Place::File(name.clone()),
    }
}

fn component(root: &mut Section<'_>) -> ComponentName {
    let (written, sound) = root.is_sound(|root| root.text("component", "orders.wasm"));
    let Some(Located { value, place }) = written else {
        return if sound { ComponentName::Beside } else { ComponentName::Faulty };
    };
    inside(root, "component", value, place).map_or(ComponentName::Faulty, ComponentName::Named)
}

fn middleware(root: &mut Section<'_>) -> Vec<Located<String>> {
    let written = root.texts("middleware", "auth.wasm").unwrap_or_default();
    if let Some(Located { place, .. }) = written.get(MAX_MIDDLEWARE) {
        let message = format!("`middleware` names {} components", written.len());
        let hint = format!("each call takes an instance of every one at once: write at most {MAX_MIDDLEWARE}");
        root.report(place, Code::InvalidValue, message, hint);
    }
    let read = written.into_iter().take(MAX_MIDDLEWARE);
    read.filter_map(|Located { value, place }| inside(root, "middleware", value, place)).collect()
}

/// The path of a component, which must be one within the tenant's folder.
fn inside(root: &Section<'_>, key: &str, path: Text, place: Place) -> Option<Located<String>> {
    if stays_inside(&path.value) {
        return Some(Located { value: path.value, place });
    }
    let message = format!("`{key}` is \"{}\", which is no path within the tenant's folder", path.shown);
    root.report(&place, Code::PathOutside, message, "put the component into the folder and name it relative to that");
    None
}

/// Whether a path only ever goes down.
fn stays_inside(path: &str) -> bool {
    !path.is_empty()
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn digest(root: &mut Section<'_>) -> Option<Located<String>> {
    let Located { value, place } = root.text("digest", "sha256:..")?;
    let digits = value.value.strip_prefix("sha256:").filter(|digits| digits.len() == 64);
    let Some(digits) = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())) else {
        let message = format!("`digest` is \"{}\", which is not `sha256:` and 64 hexadecimal digits", value.shown);
        root.report(
            &place,
            Code::InvalidValue,
            message,
            "write what `sha256sum` prints for the component after `sha256:`",
        );
        return None;
    };
    Some(Located { value: format!("sha256:{}", digits.to_ascii_lowercase()), place })
}

fn group(root: &mut Section<'_>) -> Option<String> {
    let Located { value, place } = root.text("group", "orders")?;
    match check_name("group", &value.value, &place) {
        Ok(()) => Some(value.value),
        Err(fault) => {
            root.add(fault);
            None
        }
    }
}

fn routes(root: &mut Section<'_>) -> Option<Vec<RouteManifest>> {
    let Located { value, place } = root.each("routes", MAX_ROUTES, route::read)?;
    if value.is_empty() {
        root.report(
            &place,
            Code::InvalidValue,
            "`routes` is empty",
            "write a [[routes]] section, or remove the key for the default route",
        );
    }
    Some(value.into_iter().flatten().collect())
}

fn rollback(root: &mut Section<'_>) -> Option<u32> {
    let is_there = root.has("rollback");
    root.within("rollback", |section| {
        let (traps, sound) = section.is_sound(|section| section.count("traps", 1..=10_000));
        if is_there && sound && traps.is_none() {
            let place = section.place().clone();
            let hint = "write how many of a version's first records may trap, for instance `traps = 5`";
            section.report(&place, Code::MissingKey, "`rollback` has no `traps`", hint);
        }
        traps.and_then(|traps| u32::try_from(traps.value).ok())
    })
}
