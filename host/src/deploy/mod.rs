//! The deploy directory: tenants' folders, and in them handlers as manifests and components.
//!
//! [`Watch`] says what counts of it, as a [`Snapshot`] of its files. [`read`] says what they mean. What is wrong with one
//! handler refuses that one and no other. Nothing is compiled here.

use std::path::Path;
use std::sync::Arc;

use crate::config::{Code, Fault, HandlerRoute, Operator, Place, Secret, Tenant, TenantLookup, check_name};

mod allowance;
mod client_sets;
mod component;
mod conflicts;
mod file;
mod handler;
mod snapshot;
mod watch;

use self::allowance::Allowance;
pub use component::ComponentFile;
pub(crate) use conflicts::conflict;
pub use snapshot::{Listed, Snapshot};
pub use watch::{LOOK, Look, Watch};

#[cfg(test)]
mod tests;

/// Asks of a component's bytes whether they can be a handler at all, without compiling them: a port, since only one room
/// knows the WebAssembly runtime. The error is a sentence that says what was found.
pub type Verify = fn(&[u8]) -> Result<(), String>;

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
    /// `sha256:` and 64 digits over its manifest, its component and its middleware: two versions differ exactly where
    /// these do. A refused one has a version, too.
    pub version: Arc<str>,
    /// The handler, or why it is refused.
    pub outcome: Result<Arc<Handler>, Vec<Fault>>,
    /// What it asks for, as far as that could be understood.
    claim: Option<Claim>,
}

impl Found {
    /// Refuses it for a reason that was found later, when its component was compiled.
    pub fn refuse(&mut self, fault: Fault) {
        match &mut self.outcome {
            Ok(_) => self.outcome = Err(vec![fault]),
            Err(faults) => faults.push(fault),
        }
    }
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
    /// Its [version](Found::version).
    pub version: Arc<str>,
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
    /// How many of a new version's first records may trap before the version before takes its place again.
    pub rollback: Option<u32>,
    /// Its routes, each with topics of its own.
    pub routes: Vec<HandlerRoute>,
}

impl Handler {
    /// All its components, outermost first.
    pub fn components(&self) -> impl Iterator<Item = &ComponentFile> {
        self.middleware.iter().chain([&self.component])
    }
}

/// What the files of a snapshot mean under these settings. Nothing is read from the disk.
pub fn read(operator: &Operator, snapshot: &Snapshot) -> Deployment {
    let mut handlers = Vec::new();
    for (name, sources) in &snapshot.tenants {
        let root = snapshot.directory.join(&**name);
        let tenant = tenant(operator, &root, name);
        let mut allowance = Allowance::of_a_tenant();
        let found =
            sources.iter().map(|source| handler::found(source, &root, name, &tenant, &operator.kafka, &mut allowance));
        handlers.extend(found);
    }
    conflicts::refuse(&mut handlers);
    client_sets::refuse(&mut handlers, operator.limits.max_client_sets);
    Deployment { handlers, faults: snapshot.faults.clone() }
}

/// The tenant whose folder it is.
fn tenant(operator: &Operator, root: &Path, name: &str) -> Result<Arc<Tenant>, Fault> {
    let place = place(root);
    match (check_name("tenant", name, &place), operator.tenant(name)) {
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
    }
}

fn place(path: &Path) -> Place {
    Place::File(path.to_string_lossy().into())
}
