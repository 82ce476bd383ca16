//! The only wiring: how the rooms are joined, and the way of a record through them.
//!
//! ```text
//! Kafka ─▶ consume ─▶ route ─▶ request ─▶ invoke ─▶ response ─▶ reply ─▶ settle ─▶ Kafka
//! ```
//!
//! [`carry`] is the line above, as text. [`Host`] runs it for the handlers that are wanted, and [`Reconciler`] keeps those
//! equal to what lies in the deploy directory.

mod activity;
mod assemble;
mod bound;
mod carry;
mod clients;
mod executor;
mod gate;
mod host;
mod intake;
mod jobs;
mod loader;
mod mailbox;
mod observe;
mod overview;
mod probation;
mod probe;
mod quota;
mod reconcile;
mod rollout;
mod room;
mod unit;
mod worker;

pub use activity::Activity;
pub use assemble::{Brokers, client_settings, code_cache, host as host_settings};
pub use bound::{Bound, Handler, Tenant};
pub use host::{Host, HostSettings};
pub use loader::Rehearsal;
pub use observe::{Ended, Observer};
pub use overview::{GroupView, HandlerStatus, Overview, Refused};
pub use probation::Probation;
pub use reconcile::{Listener, News, Reconciler, verify};
pub use rollout::HandlerName;

use carry::carry;
