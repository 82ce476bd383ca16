//! Logs go to stderr: lines for people, or one JSON object a line.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::invoke::LOG_DIRECTIVE;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `level` is a filter such as `info` or `warn,guest=info`.
///
/// # Errors
/// A sentence, where the filter is none.
pub fn init(format: LogFormat, level: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(level).map_err(|error| {
        anyhow::anyhow!("the log level `{level}` is none: {error}; try `info` or `warn,guest=info`")
    })?;
    let filter = filter.add_directive(LOG_DIRECTIVE.parse()?);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        // Whoever read the log may have gone. Telling that on stderr as well would end the process.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => subscriber.with_ansi(stderr().is_terminal()).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
    Ok(())
}
