//! What an operator sees: logs on stderr, metrics, the admin endpoint.

pub mod admin;
pub mod log;
pub mod metrics;
