//! How many clients the host may have.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Found;
use crate::config::{Code, Fault};

/// Refuses the handlers whose group would be one too many: each group costs threads, connections and buffers. The first
/// ones, in the order of tenants and names, are served.
pub(super) fn refuse(handlers: &mut [Found], most: usize) {
    let mut groups: BTreeSet<Arc<str>> = BTreeSet::new();
    for found in handlers {
        let Ok(handler) = &found.outcome else { continue };
        if groups.contains(&handler.group) {
            continue;
        }
        if groups.len() < most {
            groups.insert(handler.group.clone());
            continue;
        }
        let message =
            format!("its group {} would be one more than the {most} that the host has clients for", handler.group);
        let hint = "raise `max_client_sets` under [limits] of the operator's file, or let handlers share a group";
        found.outcome = Err(vec![Fault::new(&found.place, Code::TooManyClientSets, message, hint)]);
    }
}
