//! From a handler's files to a handler, joined to its tenant.

use std::path::Path;
use std::sync::Arc;

use super::allowance::Allowance;
use super::component::{self, ComponentFile};
use super::file::NotRead;
use super::snapshot::Source;
use super::{Claim, Found, Handler, place};
use crate::config::{Code, ComponentName, Fault, Kafka, Manifest, Place, Tenant, check_name, fill_env, resolve};

/// Faults of one handler that are told.
const MAX_FAULTS: usize = 100;

/// What became of a handler's files, within the folder `root` of the tenant of that name.
pub(super) fn found(
    source: &Source,
    root: &Path,
    tenant_name: &Arc<str>,
    tenant: &Result<Arc<Tenant>, Fault>,
    kafka: &Kafka,
    allowance: &mut Allowance,
) -> Found {
    let extension = if source.manifest.is_some() { "toml" } else { "wasm" };
    let place = place(&root.join(format!("{}.{extension}", source.name)));
    let version = source.version();
    let (outcome, claim) = match allowance.read(source, &place) {
        Ok(()) => handler(source, root, &place, &version, tenant, kafka, allowance),
        Err(fault) => (Err(vec![fault]), None),
    };
    Found {
        tenant: tenant_name.clone(),
        name: source.name.as_str().into(),
        place,
        version,
        outcome: outcome.map(Arc::new),
        claim,
    }
}

/// Joins a handler's files to its tenant, or says all that is wrong with them; and what they ask for in either case.
fn handler(
    source: &Source,
    root: &Path,
    place: &Place,
    version: &Arc<str>,
    tenant: &Result<Arc<Tenant>, Fault>,
    kafka: &Kafka,
    allowance: &mut Allowance,
) -> (Result<Handler, Vec<Fault>>, Option<Claim>) {
    let name = &source.name;
    let (manifest, mut faults) = manifest(source, place);
    faults.extend(check_name("handler", name, place).err());
    faults.extend(tenant.as_ref().err().cloned());
    let component = manifest.as_ref().and_then(|manifest| {
        find_component(manifest, source, root).unwrap_or_else(|found| {
            faults.extend(found);
            None
        })
    });
    let middleware = manifest.as_ref().map(|manifest| find_middleware(manifest, source, root, &mut faults));
    let joined = manifest.as_ref().zip(tenant.as_ref().ok());
    let env = joined.map(|(manifest, tenant)| {
        let (env, unknown) = fill_env(&manifest.env, tenant);
        faults.extend(unknown);
        env
    });
    let claim = joined.and_then(|(manifest, tenant)| {
        let (routes, refused) = resolve(manifest, name, tenant);
        faults.extend(refused);
        let over = allowance.resolve(&routes, place).err();
        let is_within = over.is_none();
        faults.extend(over);
        is_within.then(|| Claim { group: kafka.group(&tenant.name, manifest.group.as_deref()).into(), routes })
    });
    let outcome = match (tenant, manifest, component, &claim, env) {
        (Ok(tenant), Some(manifest), Some(component), Some(claim), Some(env)) if faults.is_empty() => Ok(Handler {
            tenant: tenant.clone(),
            name: name.as_str().into(),
            version: version.clone(),
            group: claim.group.clone(),
            component,
            middleware: middleware.unwrap_or_default(),
            max_next_calls: manifest.max_next_calls,
            env,
            rollback: manifest.rollback,
            routes: claim.routes.clone(),
        }),
        _ => {
            faults.sort_by(|a, b| a.place.cmp(&b.place));
            Err(some_of(faults))
        }
    };
    (outcome, claim)
}

/// The first ones: each is a line of the log, and a manifest may be nothing but faults.
fn some_of(mut faults: Vec<Fault>) -> Vec<Fault> {
    if let Some(more) = faults.len().checked_sub(MAX_FAULTS).filter(|more| *more > 0)
        && let Some(Fault { place, code, .. }) = faults.get(MAX_FAULTS)
    {
        let rest = Fault::new(place, *code, format!("{more} more faults like those before"), "correct those first");
        faults.truncate(MAX_FAULTS);
        faults.push(rest);
    }
    faults
}

fn manifest(source: &Source, place: &Place) -> (Option<Manifest>, Vec<Fault>) {
    match &source.manifest {
        None => (Some(Manifest::none(place.clone())), Vec::new()),
        Some(Ok(text)) => {
            let read = Manifest::read(&place.to_string(), text.to_string());
            (read.manifest, read.faults)
        }
        Some(Err(refused)) => {
            let (code, hint) = match refused {
                NotRead::Outside => (Code::PathOutside, "put the file itself into the folder"),
                NotRead::NotUtf8 => (Code::FileNotRead, "save it as UTF-8"),
                _ => (Code::FileNotRead, "put a manifest there that the host's user can read, or remove it"),
            };
            (None, vec![Fault::new(place, code, format!("the manifest {refused}"), hint)])
        }
    }
}

fn find_component(manifest: &Manifest, source: &Source, root: &Path) -> Result<Option<ComponentFile>, Vec<Fault>> {
    let beside = format!("{}.wasm", source.name);
    let (name, place) = match &manifest.component {
        ComponentName::Beside => (beside.as_str(), &manifest.place),
        ComponentName::Named(named) => (named.value.as_str(), &named.place),
        ComponentName::Faulty => return Ok(None),
    };
    component::find(source, root, name, manifest.digest.as_ref(), place).map(Some)
}

/// The components around a handler's own, as far as they can be run; what is wrong with the others goes to `faults`.
fn find_middleware(manifest: &Manifest, source: &Source, root: &Path, faults: &mut Vec<Fault>) -> Vec<ComponentFile> {
    let named = manifest.middleware.iter();
    let found = named.map(|named| component::find(source, root, &named.value, None, &named.place));
    found.filter_map(|found| found.map_err(|refused| faults.extend(refused)).ok()).collect()
}
