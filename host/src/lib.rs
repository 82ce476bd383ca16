//! The rooms of the host, each with one job. `main.rs` only turns arguments into a command.

pub mod cli;
pub mod config;
pub mod deploy;
