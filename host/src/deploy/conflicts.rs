//! Two handlers of one group that would get the same records.

use super::{Claim, Found};
use crate::config::{Code, Fault};

/// Refuses every handler that shares a topic with another of its group: both, since nothing tells which one is meant,
/// and records that wait are better than records that the wrong one has answered.
///
/// One that is refused anyway is told of the conflict as well, and takes nothing from the other.
pub(super) fn refuse(handlers: &mut [Found]) {
    let faults: Vec<Vec<Fault>> =
        handlers.iter().enumerate().map(|(index, found)| faults_of(index, found, handlers)).collect();
    for (found, faults) in handlers.iter_mut().zip(faults).filter(|(_, faults)| !faults.is_empty()) {
        match &mut found.outcome {
            Ok(_) => found.outcome = Err(faults),
            Err(known) => known.extend(faults),
        }
    }
}

fn faults_of(index: usize, found: &Found, all: &[Found]) -> Vec<Fault> {
    let Some(claim) = &found.claim else { return Vec::new() };
    let others = all.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, other)| other);
    // A sound handler yields to sound ones only.
    let rivals = others.filter(|other| found.outcome.is_err() || other.outcome.is_ok());
    let claims = rivals.filter_map(|other| Some((other, other.claim.as_ref()?)));
    claims
        .filter(|(_, taken)| taken.group == claim.group)
        .flat_map(|(other, taken)| conflicts(claim, other, taken))
        .collect()
}

fn conflicts(claim: &Claim, other: &Found, taken: &Claim) -> Vec<Fault> {
    let pairs = claim.routes.iter().flat_map(|route| taken.routes.iter().map(move |taken| (route, taken)));
    let faults = pairs.filter_map(|(route, taken)| {
        let topics = route.conflict_with(taken)?;
        let message = format!("the handler {} of the same group gets {topics} as well ({})", other.name, taken.place);
        let hint = "leave each topic to one handler, or give one of them a `group` of its own";
        Some(Fault::new(&route.place, Code::TopicConflict, message, hint))
    });
    faults.collect()
}
