//! A check's report for people.

use std::io::{self, Write};

use callgate_core::route::{Operation, PathPart, TopicSelector};

use super::Report;
use crate::config::{Bytes, HandlerRoute, Quantity};
use crate::deploy::Handler;

pub(super) fn print(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for fault in report.common_faults() {
        writeln!(out, "{fault}")?;
    }
    for found in &report.deployment.handlers {
        match &found.outcome {
            Ok(handler) => print_handler(handler, out)?,
            Err(faults) => {
                writeln!(out, "{}/{} refused", found.tenant, found.name)?;
                for fault in faults {
                    writeln!(out, "  {fault}")?;
                }
            }
        }
    }
    Ok(())
}

fn print_handler(handler: &Handler, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}/{} ok", handler.tenant.name, handler.name)?;
    writeln!(out, "  component {} {}", handler.component.path.display(), handler.component.digest)?;
    writeln!(out, "  group {}", handler.group)?;
    for HandlerRoute { topics, route, .. } in &handler.routes {
        writeln!(
            out,
            "  route {} -> {}, deadline {}, {} attempts, {} in flight",
            shown_topics(topics),
            shown_operation(&route.operation),
            route.deadline.show(),
            route.retry.attempts,
            route.max_in_flight,
        )?;
    }
    let settings = &handler.tenant.settings;
    writeln!(
        out,
        "  limits memory {}, cpu {}, request {}, response {}",
        size(settings.max_memory),
        settings.max_cpu.show(),
        size(settings.request.max_body),
        size(settings.max_response_body),
    )
}

fn size(bytes: usize) -> String {
    Bytes(bytes as u64).show()
}

/// A topic's name, or the pattern between slashes.
pub(super) fn shown_topics(topics: &TopicSelector) -> String {
    match topics {
        TopicSelector::Topic(topic) => topic.to_string(),
        TopicSelector::Pattern { regex, .. } => format!("/{regex}/"),
    }
}

/// The operation as it would be written.
pub(super) fn shown_operation(operation: &Operation) -> String {
    let path = operation.path.iter().map(|part| match part {
        PathPart::Literal(text) => text.clone(),
        PathPart::Parameter { name, .. } => format!("{{{name}}}"),
    });
    format!("{} {}", operation.method, path.collect::<String>())
}
