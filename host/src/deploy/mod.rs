//! The deploy directory: tenants' folders, and in them handlers as manifests and components.
//!
//! [`read`] looks at the directory once. What is wrong with one handler refuses that one and no other.

use std::path::Path;
use std::sync::Arc;

use crate::config::{Code, Fault, HandlerRoute, Operator, Place, Secret, Tenant, TenantLookup, check_name};

mod client_sets;
mod component;
mod conflicts;
mod folder;

pub use component::ComponentFile;

#[cfg(test)]
mod tests;

/// Asks whether a component can be run as a handler: a port, since only one room knows the WebAssembly runtime. The
/// error is a sentence that says what was found.
pub type Verify<'a> = &'a dyn Fn(&[u8]) -> Result<(), String>;

/// What lies in the deploy directory.
#[derive(Debug, Default)]
pub struct Deployment {
    /// Every handler that was found, sound or refused, in the order of tenants and names.
    pub handlers: Vec<Found>,
    /// What is wrong with the directory itself and belongs to no handler.
    pub faults: Vec<Fault>,
}

/// A handler that was found.
#[derive(Debug)]
pub struct Found {
    /// The tenant's name.
    pub tenant: Arc<str>,
    /// The handler's name.
    pub name: Arc<str>,
    /// Its manifest, or its component where it has none.
    pub place: Place,
    /// The handler, or why it is refused.
    pub outcome: Result<Arc<Handler>, Vec<Fault>>,
    /// What it asks for, as far as that could be understood.
    claim: Option<Claim>,
}

/// The topics that a handler asks for, whether it may run or not.
#[derive(Clone, Debug)]
struct Claim {
    group: Arc<str>,
    routes: Vec<HandlerRoute>,
}

/// A handler that may run.
#[derive(Debug)]
pub struct Handler {
    /// Whose it is.
    pub tenant: Arc<Tenant>,
    /// Its name within the tenant.
    pub name: Arc<str>,
    /// Its consumer group's name at the broker.
    pub group: Arc<str>,
    /// Its component.
    pub component: ComponentFile,
    /// The components around it, outermost first.
    pub middleware: Vec<ComponentFile>,
    /// How often each of those may call on.
    pub max_next_calls: u32,
    /// The guest's environment, which may hold the tenant's secrets.
    pub env: Vec<(String, Secret)>,
    /// Its routes, each with topics of its own.
    pub routes: Vec<HandlerRoute>,
}

/// Reads the deploy directory as it is now. One that does not exist holds nothing yet, which is no fault.
pub fn read(operator: &Operator, verify: Verify<'_>) -> Deployment {
    let directory = &operator.deploy.directory;
    let mut deployment = Deployment::default();
    let entries = match list(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return deployment,
        Err(error) => {
            deployment.faults.push(not_read(directory, &error));
            return deployment;
        }
    };
    for name in entries {
        let path = directory.join(&name);
        if path.is_dir() {
            read_tenant(operator, &path, &name, verify, &mut deployment);
        } else if folder::is_manifest(&name) || folder::is_component(&name) {
            let hint = "move it into the folder of its tenant";
            let message = "a manifest or component that lies beside the tenants' folders is nobody's";
            deployment.faults.push(Fault::new(&place(&path), Code::StrayFile, message, hint));
        }
    }
    conflicts::refuse(&mut deployment.handlers);
    client_sets::refuse(&mut deployment.handlers, operator.limits.max_client_sets);
    deployment
}

fn read_tenant(operator: &Operator, path: &Path, name: &str, verify: Verify<'_>, deployment: &mut Deployment) {
    let contents = match folder::read(path) {
        Ok(contents) => contents,
        Err(error) => return deployment.faults.push(not_read(path, &error)),
    };
    // A folder without handlers is none of ours: `lost+found`, an editor's backup.
    if contents.candidates.is_empty() {
        return;
    }
    let place = place(path);
    let tenant = match (check_name("tenant", name, &place), operator.tenant(name)) {
        (Err(fault), _) => Err(fault),
        (Ok(()), _) if name == "default" => {
            let message = "`default` is the section for tenants without one, and no tenant";
            Err(Fault::new(&place, Code::InvalidName, message, "give the folder the tenant's own name"))
        }
        (Ok(()), TenantLookup::Unknown) => {
            let message = format!("the operator's file has no section for the tenant {name}, and none for the rest");
            Err(Fault::new(&place, Code::UnknownTenant, message, format!("add [tenants.{name}], or [tenants.default]")))
        }
        (Ok(()), TenantLookup::Faulty) => {
            let message = format!("the section of the tenant {name} in the operator's file has faults");
            Err(Fault::new(&place, Code::TenantFaulty, message, "correct those first"))
        }
        (Ok(()), TenantLookup::Found(tenant)) => Ok(tenant),
    };
    deployment.handlers.extend(contents.candidates.into_iter().map(|candidate| {
        let (found_name, found_place) = (candidate.name.as_str().into(), candidate.place.clone());
        let (outcome, claim) = folder::handler(candidate, &contents.root, &tenant, &operator.kafka, verify);
        Found { tenant: name.into(), name: found_name, place: found_place, outcome: outcome.map(Arc::new), claim }
    }));
}

/// The names in a folder, sorted, without those that start with a dot.
fn list(folder: &Path) -> std::io::Result<Vec<String>> {
    let names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<std::io::Result<Vec<String>>>()?;
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    Ok(names)
}

fn not_read(path: &Path, error: &std::io::Error) -> Fault {
    let hint = "let the host's user read the directory and enter its folders";
    Fault::new(&place(path), Code::DirectoryNotRead, format!("the directory cannot be read: {error}"), hint)
}

fn place(path: &Path) -> Place {
    Place::File(path.to_string_lossy().into())
}
