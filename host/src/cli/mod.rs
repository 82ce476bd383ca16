//! The command line: one file a command.

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::broker::{self, PropertyRefusal};
use crate::config::PropertyProblem;
use crate::telemetry::log::{self, LogFormat};

mod check;
mod invoke;
mod print;
mod run;
mod signals;

/// The exit status for a wrong configuration, the same that clap gives for wrong arguments.
const WRONG_CONFIGURATION: u8 = 2;

/// Runs WebAssembly components as handlers of Kafka records.
///
/// A record becomes an HTTP request, a sandboxed component answers it, and the answer goes to the topic that the record
/// names in its `reply-to` header.
#[derive(Debug, Parser)]
#[command(name = "callgate", version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Log lines for people, or one JSON object a line. Logs go to stderr.
    #[arg(long, global = true, value_enum, default_value_t, env = "CALLGATE_LOG_FORMAT")]
    log_format: LogFormat,
    /// What is logged: a level, or a filter such as `warn,guest=info`.
    #[arg(long, global = true, value_name = "FILTER", default_value = "info", env = "CALLGATE_LOG")]
    log_level: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
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
    let Arguments { command, log_format, log_level } = Arguments::parse();
    if let Err(error) = log::init(log_format, &log_level) {
        eprintln!("callgate: {error:#}");
        return ExitCode::from(WRONG_CONFIGURATION);
    }
    let status = match command {
        Command::Run(run) => run.run(),
        Command::Check(check) => Ok(check.run()),
        Command::Invoke(invoke) => Ok(invoke.run()),
    };
    status.unwrap_or_else(|error| {
        eprintln!("callgate: {error:#}");
        ExitCode::FAILURE
    })
}

/// Asks the Kafka client about a property, for the room that reads the configuration.
fn check_property(name: &str, value: &str) -> Result<(), PropertyProblem> {
    broker::check_property(name, value).map_err(|refusal| match refusal {
        PropertyRefusal::Unknown => PropertyProblem::Unknown,
        PropertyRefusal::Invalid => PropertyProblem::Invalid,
    })
}

/// `1 fault`, `2 faults`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
