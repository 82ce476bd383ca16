//! The only wiring: how the rooms are joined, and the way of a record through them.
//!
//! ```text
//! Kafka ─▶ consume ─▶ route ─▶ request ─▶ invoke ─▶ response ─▶ reply ─▶ settle ─▶ Kafka
//! ```
//!
//! [`Host`] builds and drains it. [`carry`] is the line above, as text.

mod assemble;
mod bound;
mod carry;
mod executor;
mod host;
mod jobs;
mod mailbox;
mod observe;
mod quota;
mod unit;
mod worker;

pub use assemble::{Assembler, Brokers, client_settings, code_cache, host as host_settings};
pub use bound::{Bound, Handler, Tenant};
pub use host::{Host, HostSettings};
pub use observe::{Ended, Observer};

use carry::carry;
