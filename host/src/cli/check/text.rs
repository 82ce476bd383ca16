//! A check's report for people.

use std::io::{self, Write};

use callgate_core::route::{Operation, PathPart, TopicSelector};

use super::online::Findings;
use super::{Report, counted};
use crate::config::{HandlerRoute, ShownDuration, ShownSize};
use crate::deploy::Handler;

pub(super) fn print(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for fault in report.common_faults() {
        writeln!(out, "{fault}")?;
    }
    for found in &report.deployment.handlers {
        writeln!(out, "{}/{} {}", found.tenant, found.name, report.status(found))?;
        match &found.outcome {
            Ok(handler) => print_handler(handler, out)?,
            Err(faults) => {
                for fault in faults {
                    writeln!(out, "  {fault}")?;
                }
            }
        }
        if let Some(findings) = report.findings(found) {
            print_findings(findings, out)?;
        }
    }
    Ok(())
}

fn print_findings(findings: &Findings, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "  at the brokers {} now", counted(findings.topics.iter().sum(), "topic"))?;
    for fault in &findings.faults {
        writeln!(out, "  {fault}")?;
    }
    for warning in &findings.warnings {
        writeln!(out, "  warning: {warning}")?;
    }
    Ok(())
}

fn print_handler(handler: &Handler, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "  component {} {}", handler.component.path.display(), handler.component.digest)?;
    writeln!(out, "  group {}", handler.group)?;
    for HandlerRoute { topics, route, .. } in &handler.routes {
        writeln!(
            out,
            "  route {} -> {}, deadline {}, {} attempts, {} in flight",
            shown_topics(topics),
            shown_operation(&route.operation),
            ShownDuration(route.deadline),
            route.retry.attempts,
            route.max_in_flight,
        )?;
    }
    let settings = &handler.tenant.settings;
    writeln!(
        out,
        "  limits memory {}, cpu {}, request {}, response {}",
        ShownSize(settings.max_memory as u64),
        ShownDuration(settings.max_cpu),
        ShownSize(settings.request.max_body as u64),
        ShownSize(settings.max_response_body as u64),
    )
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
