//! Two handlers of one group that would get the same records.

use super::{Found, Handler};
use crate::config::{Code, Fault};

/// Refuses every handler that shares a topic with another of its group: both, since nothing tells which one is meant,
/// and records that wait are better than records that the wrong one has answered.
pub(super) fn refuse(handlers: &mut [Found]) {
    let faults: Vec<Vec<Fault>> = handlers.iter().map(|found| faults_of(found, handlers)).collect();
    for (found, faults) in handlers.iter_mut().zip(faults) {
        if !faults.is_empty() {
            found.outcome = Err(faults);
        }
    }
}

fn faults_of(found: &Found, all: &[Found]) -> Vec<Fault> {
    let Ok(handler) = &found.outcome else { return Vec::new() };
    let others = all.iter().filter_map(|other| other.outcome.as_deref().ok()).filter(|other| {
        other.group == handler.group && (&other.tenant.name, &other.name) != (&handler.tenant.name, &handler.name)
    });
    others.flat_map(|other| conflicts(handler, other)).collect()
}

fn conflicts(handler: &Handler, other: &Handler) -> Vec<Fault> {
    let pairs = handler.routes.iter().flat_map(|route| other.routes.iter().map(move |taken| (route, taken)));
    let faults = pairs.filter_map(|(route, taken)| {
        let topics = route.conflict_with(taken)?;
        let message = format!("the handler {} of the same group gets {topics} as well ({})", other.name, taken.place);
        let hint = "leave each topic to one handler, or give one of them a `group` of its own";
        Some(Fault::new(&route.place, Code::TopicConflict, message, hint))
    });
    faults.collect()
}
