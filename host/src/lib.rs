//! The rooms of the host, each with one job. `main.rs` only turns arguments into a command.

pub mod broker;
pub mod cli;
pub mod config;
pub mod consume;
pub mod deploy;
pub mod invoke;
pub mod machine;
pub mod pipeline;
mod planted;
pub mod pulse;
pub mod settle;
pub mod telemetry;
