//! One tenant's folder: which handlers it holds.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::component::{self, NotRead, read_inside};
use super::{Claim, Handler, Verify, list};
use crate::config::{Code, ComponentName, Fault, Kafka, Manifest, Place, Tenant, check_name, fill_env, resolve};

/// What a tenant's folder holds.
pub(super) struct Contents {
    /// The folder.
    pub(super) root: PathBuf,
    /// Its handlers, in the order of their names.
    pub(super) candidates: Vec<Candidate>,
}

/// A handler as far as the folder alone tells.
pub(super) struct Candidate {
    pub(super) name: String,
    /// Its manifest, or its component where it has none.
    pub(super) place: Place,
    manifest: Option<Manifest>,
    faults: Vec<Fault>,
}

pub(super) fn is_manifest(name: &str) -> bool {
    name.ends_with(".toml")
}

pub(super) fn is_component(name: &str) -> bool {
    name.ends_with(".wasm")
}

/// Reads a tenant's folder: each manifest is a handler, and so is each component that no manifest names.
pub(super) fn read(root: &Path) -> std::io::Result<Contents> {
    let files = list(root)?;
    let mut candidates = Vec::new();
    let mut taken = BTreeSet::new();
    for file in files.iter().filter(|file| is_manifest(file)) {
        let name = file.trim_end_matches(".toml").to_owned();
        taken.insert(PathBuf::from(format!("{name}.wasm")));
        let path = root.join(file);
        let shown = path.to_string_lossy();
        let place = Place::File(shown.as_ref().into());
        candidates.push(match read_manifest(root, &path, &place) {
            Ok(text) => {
                let read = Manifest::read(&shown, text);
                taken.extend(read.named.iter().map(|named| plain(named)));
                Candidate { name, place, manifest: read.manifest, faults: read.faults }
            }
            Err(fault) => Candidate { name, place, manifest: None, faults: vec![fault] },
        });
    }
    for file in files.iter().filter(|file| is_component(file) && !taken.contains(Path::new(file))) {
        let place = super::place(&root.join(file));
        candidates.push(Candidate {
            name: file.trim_end_matches(".wasm").to_owned(),
            manifest: Some(Manifest::none(place.clone())),
            place,
            faults: Vec::new(),
        });
    }
    candidates.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Contents { root: root.to_owned(), candidates })
}

/// `./a.wasm` and `a.wasm` are one file.
fn plain(path: &str) -> PathBuf {
    Path::new(path).components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

fn read_manifest(root: &Path, path: &Path, place: &Place) -> Result<String, Fault> {
    let fault = |code, message: String, hint| Err(Fault::new(place, code, message, hint));
    match read_inside(root, path) {
        Ok(bytes) => String::from_utf8(bytes)
            .or_else(|_| fault(Code::FileNotRead, "the manifest is not UTF-8".to_owned(), "save it as UTF-8")),
        Err(NotRead::Outside) => fault(
            Code::PathOutside,
            "the manifest is a link that leads out of the tenant's folder".to_owned(),
            "put the file itself into the folder",
        ),
        Err(NotRead::Failed(error)) => fault(
            Code::FileNotRead,
            format!("the manifest cannot be read: {error}"),
            "let the host's user read it, or remove it",
        ),
    }
}

/// Joins a candidate to its tenant, or says all that is wrong with it; and what it asks for in either case.
pub(super) fn handler(
    candidate: Candidate,
    root: &Path,
    tenant: &Result<Arc<Tenant>, Fault>,
    kafka: &Kafka,
    verify: Verify<'_>,
) -> (Result<Handler, Vec<Fault>>, Option<Claim>) {
    let Candidate { name, place, manifest, mut faults } = candidate;
    faults.extend(check_name("handler", &name, &place).err());
    faults.extend(tenant.as_ref().err().cloned());
    let component = manifest.as_ref().and_then(|manifest| {
        find_component(manifest, root, &name, verify).unwrap_or_else(|found| {
            faults.extend(found);
            None
        })
    });
    let middleware = manifest.as_ref().map(|manifest| find_middleware(manifest, root, verify, &mut faults));
    let joined = manifest.as_ref().zip(tenant.as_ref().ok());
    let env = joined.map(|(manifest, tenant)| {
        let (env, unknown) = fill_env(&manifest.env, tenant);
        faults.extend(unknown);
        env
    });
    let claim = joined.map(|(manifest, tenant)| {
        let (routes, refused) = resolve(manifest, &name, tenant);
        faults.extend(refused);
        Claim { group: kafka.group(&tenant.name, manifest.group.as_deref()).into(), routes }
    });
    let outcome = match (tenant, manifest, component, &claim, env) {
        (Ok(tenant), Some(manifest), Some(component), Some(claim), Some(env)) if faults.is_empty() => Ok(Handler {
            tenant: tenant.clone(),
            name: name.into(),
            group: claim.group.clone(),
            component,
            middleware: middleware.unwrap_or_default(),
            max_next_calls: manifest.max_next_calls,
            env,
            routes: claim.routes.clone(),
        }),
        _ => {
            faults.sort_by(|a, b| a.place.cmp(&b.place));
            Err(faults)
        }
    };
    (outcome, claim)
}

fn find_component(
    manifest: &Manifest,
    root: &Path,
    handler: &str,
    verify: Verify<'_>,
) -> Result<Option<component::ComponentFile>, Vec<Fault>> {
    let beside = format!("{handler}.wasm");
    let (name, place) = match &manifest.component {
        ComponentName::Beside => (beside.as_str(), &manifest.place),
        ComponentName::Named(named) => (named.value.as_str(), &named.place),
        ComponentName::Faulty => return Ok(None),
    };
    component::find(root, name, manifest.digest.as_ref(), place, verify).map(Some)
}

/// The components around a handler's own, as far as they can be run; what is wrong with the others goes to `faults`.
fn find_middleware(
    manifest: &Manifest,
    root: &Path,
    verify: Verify<'_>,
    faults: &mut Vec<Fault>,
) -> Vec<component::ComponentFile> {
    let found = manifest.middleware.iter().map(|named| component::find(root, &named.value, None, &named.place, verify));
    found.filter_map(|found| found.map_err(|refused| faults.extend(refused)).ok()).collect()
}
