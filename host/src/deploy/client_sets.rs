//! How many clients the host may have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Found;
use crate::config::{Code, Fault};

/// Refuses the handlers whose group would be one too many: each group costs threads, connections and buffers. Each
/// tenant's first group, in the order of its handlers' names, goes before any tenant's second: who has many takes nothing
/// from who has few.
pub(super) fn refuse(handlers: &mut [Found], most: usize) {
    let mut of_tenant: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
    for found in handlers.iter() {
        let Ok(handler) = &found.outcome else { continue };
        let groups = of_tenant.entry(found.tenant.clone()).or_default();
        if !groups.contains(&handler.group) {
            groups.push(handler.group.clone());
        }
    }
    let ranked =
        of_tenant.iter().flat_map(|(tenant, groups)| (0..).zip(groups).map(move |(rank, group)| (rank, tenant, group)));
    let in_turn: BTreeSet<(usize, &Arc<str>, &Arc<str>)> = ranked.collect();
    let served: BTreeSet<Arc<str>> = in_turn.into_iter().take(most).map(|(_, _, group)| group.clone()).collect();
    for found in handlers {
        let Ok(handler) = &found.outcome else { continue };
        if served.contains(&handler.group) {
            continue;
        }
        let message =
            format!("its group {} would be one more than the {most} that the host has clients for", handler.group);
        let hint = "raise `max_client_sets` under [limits] of the operator's file, or let handlers share a group";
        found.outcome = Err(vec![Fault::new(&found.place, Code::TooManyClientSets, message, hint)]);
    }
}
