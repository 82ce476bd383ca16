//! The operator's file and the tenants' manifests: as written, then resolved.
//!
//! A file is read to its end whatever is wrong with it, and every fault says where, what, and what to do. Reading
//! (`operator`, `manifest`) knows nothing of other files; joining a manifest to its tenant is `resolve`.

mod document;
mod env;
mod fault;
mod kafka;
mod manifest;
mod names;
mod operator;
mod outbound;
mod overrides;
mod properties;
mod reader;
mod references;
mod reload;
mod resolve;
mod secret;
mod suggest;
mod tenant;
mod units;

pub(crate) use env::fill as fill_env;
pub use fault::{Code, Fault, Located, Place};
pub use kafka::{Delivery, FirstStart, Kafka};
pub(crate) use manifest::{ComponentName, Manifest};
pub(crate) use names::check_name;
pub use names::is_name;
pub use operator::{Admin, Deploy, HostLimits, Memory, Operator, OperatorRead};
pub use outbound::AllowedOrigin;
pub use properties::{Properties, PropertyCheck, PropertyProblem, TogetherCheck};
pub use references::Environment;
pub use resolve::HandlerRoute;
pub(crate) use resolve::resolve;
pub use secret::{Secret, Secrets};
pub use tenant::{Settings, Tenant, TenantLookup};
pub use units::parse_duration;
pub(crate) use units::{Bytes, Quantity};

#[cfg(test)]
mod tests;
