//! The command line: one file a command.

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

mod check;
mod invoke;
mod print;

/// The exit status for a wrong configuration, the same that clap gives for wrong arguments.
const WRONG_CONFIGURATION: u8 = 2;

/// Runs WebAssembly components as handlers of Kafka records.
#[derive(Debug, Parser)]
#[command(name = "callgate", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Invoke(invoke::Invoke),
}

/// How a command prints what it prints for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check(check) => check.run(),
        Command::Invoke(invoke) => invoke.run(),
    }
}
