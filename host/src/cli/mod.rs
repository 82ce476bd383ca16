//! The command line: one file a command.

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::broker::{self, PropertyRefusal};
use crate::config::{PropertyCheck, PropertyProblem};
use crate::telemetry::log::{self, LogFormat};

/// Says something to whoever has given the command, on stderr. Nobody may listen any more, which is no reason to fail.
macro_rules! tell {
    ($($words:tt)*) => {
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}\n", format_args!($($words)*)));
    };
}

mod call;
mod check;
mod compile;
mod compile_component;
mod dev;
mod input;
mod invoke;
mod print;
mod run;
mod signals;

/// The exit status for a wrong configuration, the same that clap gives for wrong arguments.
const WRONG_CONFIGURATION: u8 = 2;

/// Runs WebAssembly components as handlers of Kafka records.
///
/// A record becomes an HTTP request, a sandboxed component answers it, and the answer goes to the topic that the record
/// names in its `reply-to` header. Begin with `callgate dev`.
#[derive(Debug, Parser)]
#[command(name = "callgate", version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Log lines for people, or one JSON object a line. Logs go to stderr.
    #[arg(long, global = true, value_enum, default_value_t, env = "CALLGATE_LOG_FORMAT", help_heading = "Logging")]
    log_format: LogFormat,
    /// What is logged: a level, or a filter such as `warn,guest=info`. By default `info` for `run`, and for the other
    /// commands only warnings and what the guests write.
    #[arg(long, global = true, value_name = "FILTER", env = "CALLGATE_LOG", help_heading = "Logging")]
    log_level: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Dev),
    Run(run::Run),
    Check(check::Check),
    Compile(compile::Compile),
    Invoke(invoke::Invoke),
    Call(call::Call),
    #[command(hide = true)]
    CompileComponent(compile_component::CompileComponent),
}

impl Command {
    /// What is logged unless the user says otherwise.
    fn log_level(&self) -> &'static str {
        match self {
            Self::Run(_) => "info",
            // It prints its own line for each dead letter.
            Self::Dev(_) => "error,guest=info,callgate::invoke=info,librdkafka=off",
            // It says itself what it does.
            Self::Compile(_) => "warn",
            // Compiling may take long, so that it is said.
            Self::Check(_) | Self::Invoke(_) => "warn,guest=info,callgate::invoke=info",
            // It says itself what the client cannot do.
            Self::Call(_) => "error,librdkafka=off",
            // Its parent says what it says.
            Self::CompileComponent(_) => "off",
        }
    }
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
    if let Err(error) = log::init(log_format, log_level.as_deref().unwrap_or(command.log_level())) {
        tell!("error: {error:#}");
        return ExitCode::from(WRONG_CONFIGURATION);
    }
    let status = match command {
        Command::Dev(dev) => dev.run(),
        Command::Run(run) => run.run(),
        Command::Check(check) => Ok(check.run()),
        Command::Compile(compile) => compile.run(),
        Command::Invoke(invoke) => Ok(invoke.run()),
        Command::Call(call) => call.run(),
        Command::CompileComponent(compile) => Ok(compile.run()),
    };
    status.unwrap_or_else(|error| {
        tell!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// Asks the Kafka client about properties, for the room that reads the configuration.
const PROPERTY_CHECK: PropertyCheck<'static> =
    PropertyCheck { one: &check_property, together: &broker::check_properties };

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
