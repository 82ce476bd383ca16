//! A check's report for programs: one JSON object a line, told apart by `kind`.

use std::io::{self, Write};

use callgate_core::route::Instances;
use serde_json::{Value, json};

use super::Report;
use super::imports::{Group, Imports};
use super::text::ordering;
use crate::config::{Fault, HandlerRoute};
use crate::deploy::{ComponentFile, Found, Handler};

pub(super) fn print(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for fault in report.common_faults() {
        let mut line = fault_object(fault);
        line["kind"] = "fault".into();
        writeln!(out, "{line}")?;
    }
    for found in &report.deployment.handlers {
        writeln!(out, "{}", found_object(report, found))?;
    }
    Ok(())
}

fn found_object(report: &Report, found: &Found) -> Value {
    let mut object = match &found.outcome {
        Ok(handler) => {
            let mut object = handler_object(handler);
            object["imports"] = report.imports(found).iter().flat_map(import_objects).collect();
            object
        }
        Err(faults) => json!({ "faults": fault_objects(faults) }),
    };
    if let Some(findings) = report.findings(found) {
        object["faults"] = fault_objects(&findings.faults);
        object["warnings"] = fault_objects(&findings.warnings);
        for (index, count) in findings.topics.iter().enumerate() {
            object["routes"][index]["topics_now"] = (*count).into();
        }
    }
    object["status"] = report.status(found).into();
    object["kind"] = "handler".into();
    object["tenant"] = (*found.tenant).into();
    object["handler"] = (*found.name).into();
    object
}

/// One object for each import.
fn import_objects(imports: &Imports) -> impl Iterator<Item = Value> {
    let object = |group: &Group, name: &str| {
        json!({
            "component": *imports.component,
            "name": name,
            "provision": group.word,
            "values": group.values,
            "remark": group.remark,
        })
    };
    imports.groups.iter().flat_map(move |group| group.names.iter().map(move |name| object(group, name)))
}

fn handler_object(handler: &Handler) -> Value {
    let settings = &handler.tenant.settings;
    json!({
        "version": *handler.version,
        "component": handler.component.path.to_string_lossy(),
        "digest": *handler.component.digest,
        "middleware": handler.middleware.iter().map(component_object).collect::<Vec<_>>(),
        "max_next_calls": handler.max_next_calls,
        "rollback_traps": handler.rollback,
        "group": *handler.group,
        "routes": handler.routes.iter().map(route_object).collect::<Vec<_>>(),
        "limits": {
            "max_memory": settings.max_memory,
            "max_cpu_ms": settings.max_cpu.as_millis() as u64,
            "max_request_body": settings.request.max_body,
            "max_response_body": settings.max_response_body,
        },
        "faults": [],
    })
}

fn component_object(component: &ComponentFile) -> Value {
    json!({ "component": component.path.to_string_lossy(), "digest": *component.digest })
}

fn route_object(HandlerRoute { topics, route, .. }: &HandlerRoute) -> Value {
    json!({
        "topics": topics.to_string(),
        "operation": route.operation.to_string(),
        "tombstone": route.tombstone.as_ref().map(ToString::to_string),
        "reply_to": route.reply_to.as_deref(),
        "ordering": ordering(route.ordering),
        "reuse": match route.instances {
            Instances::Fresh => None,
            Instances::Reuse { records } => Some(records),
        },
        "deadline_ms": route.deadline.as_millis() as u64,
        "attempts": route.retry.attempts,
        "max_in_flight": route.max_in_flight,
    })
}

fn fault_objects(faults: &[Fault]) -> Value {
    faults.iter().map(fault_object).collect()
}

fn fault_object(fault: &Fault) -> Value {
    json!({
        "code": fault.code.as_str(),
        "place": fault.place.to_string(),
        "file": fault.place.file(),
        "line": fault.place.line(),
        "message": fault.message,
        "hint": fault.hint,
    })
}
