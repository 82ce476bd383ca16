//! Two handlers of one group that would get the same records.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use callgate_core::route::TopicSelector;

use super::Found;
use crate::config::{Code, Fault, HandlerRoute};

/// Refuses every handler that shares a topic with another of its group: both, since nothing tells which one is meant,
/// and records that wait are better than records that the wrong one has answered.
///
/// One that is refused anyway is told of the conflict as well, and takes nothing from the other.
pub(super) fn refuse(handlers: &mut [Found]) {
    let groups = Groups::of(handlers);
    let faults: Vec<Vec<Fault>> = (0..handlers.len()).map(|index| groups.faults_of(index, handlers)).collect();
    for (found, faults) in handlers.iter_mut().zip(faults).filter(|(_, faults)| !faults.is_empty()) {
        match &mut found.outcome {
            Ok(_) => found.outcome = Err(faults),
            Err(known) => known.extend(faults),
        }
    }
}

/// The routes of all handlers by their groups, so that each is compared with those only that it could share a topic with.
struct Groups<'a>(HashMap<&'a str, Group<'a>>);

#[derive(Default)]
struct Group<'a> {
    /// Routes of one topic, by that topic, with the places of their handlers.
    topics: HashMap<&'a str, Vec<Rival<'a>>>,
    patterns: Vec<Rival<'a>>,
}

/// A handler's place among all, and one of its routes.
type Rival<'a> = (usize, &'a HandlerRoute);

impl<'a> Groups<'a> {
    fn of(handlers: &'a [Found]) -> Self {
        let mut groups: HashMap<_, Group<'_>> = HashMap::new();
        for (index, claim) in
            handlers.iter().enumerate().filter_map(|(index, found)| Some((index, found.claim.as_ref()?)))
        {
            let group = groups.entry(&*claim.group).or_default();
            for route in &claim.routes {
                match &route.topics {
                    TopicSelector::Topic(topic) => group.topics.entry(topic).or_default().push((index, route)),
                    TopicSelector::Pattern { .. } => group.patterns.push((index, route)),
                }
            }
        }
        Self(groups)
    }

    fn faults_of(&self, index: usize, all: &[Found]) -> Vec<Fault> {
        let found = &all[index];
        let Some(claim) = &found.claim else { return Vec::new() };
        // A sound handler yields to sound ones only.
        let yields_to = |other: usize| other != index && (found.outcome.is_err() || all[other].outcome.is_ok());
        let group = &self.0[&*claim.group];
        let faults = claim.routes.iter().flat_map(|route| {
            let rivals = group.rivals(route).filter(|(other, _)| yields_to(*other));
            let conflicts =
                rivals.filter_map(|(other, taken)| Some((other, &taken.place, route.conflict_with(taken)?)));
            // Of each other handler the first one says enough.
            let mut first = BTreeMap::new();
            for (other, place, topics) in conflicts {
                let known = first.entry(other).or_insert_with(|| (place, topics.clone()));
                if place < known.0 {
                    *known = (place, topics);
                }
            }
            first.into_iter().map(|(other, (place, topics))| conflict(route, &all[other].name, place, &topics))
        });
        faults.collect()
    }
}

impl<'a> Group<'a> {
    /// All routes that may share a topic with this one.
    fn rivals(&self, route: &HandlerRoute) -> impl Iterator<Item = Rival<'a>> {
        let (named, all): (Option<&Vec<_>>, _) = match &route.topics {
            TopicSelector::Topic(topic) => (self.topics.get(&**topic), None),
            TopicSelector::Pattern { .. } => (None, Some(self.topics.values().flatten())),
        };
        named.into_iter().flatten().chain(all.into_iter().flatten()).chain(&self.patterns).copied()
    }
}

/// What is said of a route where another handler gets these topics; `whence` says by which of its routes or versions.
pub(crate) fn conflict(route: &HandlerRoute, other: &str, whence: &dyn Display, topics: &str) -> Fault {
    let message = format!("the handler {other} of the same group gets {topics} as well ({whence})");
    let hint = "leave each topic to one handler, or give one of them a `group` of its own";
    Fault::new(&route.place, Code::TopicConflict, message, hint)
}
