//! A check's report for people.

use std::io::{self, Write};

use callgate_core::order::Ordering;
use callgate_core::printable::Printable;
use callgate_core::route::Instances;

use super::Report;
use super::imports::{Group, Imports};
use super::online::Findings;
use crate::config::{Bytes, HandlerRoute, Quantity};
use crate::deploy::Handler;

pub(super) fn print(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for fault in report.common_faults() {
        writeln!(out, "{fault}")?;
    }
    for found in &report.deployment.handlers {
        writeln!(out, "{}/{} {}", found.tenant, Printable(&found.name), report.status(found))?;
        match &found.outcome {
            Ok(handler) => {
                print_handler(handler, out)?;
                report.imports(found).iter().try_for_each(|imports| print_imports(imports, out))?;
            }
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
    writeln!(out, "  topics {} at the brokers now", findings.topics.iter().sum::<usize>())?;
    for fault in &findings.faults {
        writeln!(out, "  {fault}")?;
    }
    for warning in &findings.warnings {
        writeln!(out, "  warning: {warning}")?;
    }
    Ok(())
}

fn print_imports(imports: &Imports, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "  imports of {}", Printable(&imports.component))?;
    for Group { word, names, values, remark } in &imports.groups {
        let also = values.iter().map(String::as_str).chain(*remark).collect::<Vec<_>>().join(", ");
        let also = if also.is_empty() { also } else { format!(": {also}") };
        writeln!(out, "    {word} {}{}", Printable(names.join(", ")), Printable(also))?;
    }
    Ok(())
}

fn print_handler(handler: &Handler, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "  version {}", handler.version)?;
    for middleware in &handler.middleware {
        writeln!(out, "  middleware {} {}", Printable(middleware.path.display()), middleware.digest)?;
    }
    writeln!(out, "  component {} {}", Printable(handler.component.path.display()), handler.component.digest)?;
    writeln!(out, "  group {}", handler.group)?;
    for HandlerRoute { topics, route, .. } in &handler.routes {
        writeln!(
            out,
            "  route {} -> {}, ordering {}, deadline {}, {} attempts, {} in flight, {}",
            topics,
            route.operation,
            ordering(route.ordering),
            route.deadline.show(),
            route.retry.attempts,
            route.max_in_flight,
            instances(route.instances),
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

/// As it is written in a manifest.
pub(super) fn ordering(ordering: Ordering) -> &'static str {
    match ordering {
        Ordering::Partition => "partition",
        Ordering::Key => "key",
        Ordering::Unordered => "unordered",
    }
}

fn instances(instances: Instances) -> String {
    match instances {
        Instances::Fresh => "fresh instances".to_owned(),
        Instances::Reuse { records } => format!("an instance serves {records} records"),
    }
}

fn size(bytes: usize) -> String {
    Bytes(bytes as u64).show()
}
