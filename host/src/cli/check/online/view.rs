//! All that is asked of the brokers about the handlers of one client set, so that it can be judged at leisure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use callgate_core::dead_letter::{dead_letter_topic, takes_dead_letters};
use callgate_core::route::TopicSelector;

use super::Subject;
use crate::broker::{Allowed, Described, Inspector, NoAnswer, NotDescribed, TopicDescription};
use crate::config::{Delivery, HandlerRoute, Tenant};
use crate::deploy::Handler;

/// What the brokers say.
pub(super) struct View {
    topics: BTreeMap<Arc<str>, Topic>,
    groups: BTreeMap<Arc<str>, Described<Option<Allowed>>>,
    /// By group, whether its transactional ids may be used, where they will be.
    transactions: BTreeMap<Arc<str>, Described<()>>,
    /// The names of all topics, for patterns.
    names: Vec<Arc<str>>,
    /// What patterns do not get: by group, what its routes name; by tenant, where its fixed replies go.
    named: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    replies: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

/// A topic that some handler needs.
pub(super) struct Topic {
    pub(super) description: Described<TopicDescription>,
    /// The largest batch it takes, bytes, where that can be known.
    pub(super) max_message_bytes: Option<usize>,
    /// Where it is missing and the host would make it: whether that is allowed.
    pub(super) creation: Option<Result<(), String>>,
}

impl View {
    pub(super) fn of(inspector: &Inspector, subjects: &[Subject<'_>], delivery: Delivery) -> Result<Self, NoAnswer> {
        let mut view = Self {
            topics: BTreeMap::new(),
            groups: BTreeMap::new(),
            transactions: BTreeMap::new(),
            names: Vec::new(),
            named: gathered(subjects, |handler| &handler.group, named),
            replies: gathered(subjects, |handler| &handler.tenant.name, |route| route.route.reply_to.as_ref()),
        };
        let routes =
            || subjects.iter().flat_map(|subject| subject.handler.routes.iter().map(|route| (subject.handler, route)));
        if routes().any(|(_, route)| route.topics.is_pattern()) {
            view.names = inspector.topic_names()?.into_iter().map(Arc::from).collect();
        }
        let mut dead_letters: BTreeMap<Arc<str>, (&Tenant, Arc<str>)> = BTreeMap::new();
        let mut wanted: BTreeSet<Arc<str>> = BTreeSet::new();
        for (handler, route) in routes() {
            for topic in view.sources(handler, route) {
                let letters = dead_letter_topic(&topic, &handler.tenant.settings.dead_letter);
                wanted.extend([topic.clone(), letters.clone()]);
                dead_letters.insert(letters, (&handler.tenant, topic));
            }
            wanted.extend(route.route.reply_to.clone());
        }
        view.describe(inspector, &wanted)?;
        view.try_to_create(inspector, &dead_letters);
        for Subject { handler, .. } in subjects {
            let group = &handler.group;
            if !view.groups.contains_key(group) {
                view.groups.insert(group.clone(), inspector.group(group));
                if delivery == Delivery::ExactlyOnce {
                    let may = inspector.may_use_transactional_id(&format!("{group}.check"));
                    view.transactions.insert(group.clone(), may);
                }
            }
        }
        Ok(view)
    }

    fn describe(&mut self, inspector: &Inspector, wanted: &BTreeSet<Arc<str>>) -> Result<(), NoAnswer> {
        let mut described = inspector.topics(wanted.iter().map(|name| &**name))?;
        for name in wanted {
            let description = described
                .remove(&**name)
                .unwrap_or_else(|| Err(NotDescribed::Other("the broker left it out of its answer".to_owned())));
            let max_message_bytes = description.as_ref().ok().and_then(|_| inspector.max_message_bytes(name));
            self.topics.insert(name.clone(), Topic { description, max_message_bytes, creation: None });
        }
        Ok(())
    }

    /// Dead-letter topics are made with the partitions of a source, whose name stands beside each.
    fn try_to_create(&mut self, inspector: &Inspector, dead_letters: &BTreeMap<Arc<str>, (&Tenant, Arc<str>)>) {
        for (name, (tenant, source)) in dead_letters {
            let partitions = |topic: &Topic| topic.description.as_ref().map_or(1, |known| known.partitions);
            let partitions = self.topics.get(source).map_or(1, partitions);
            if let Some(topic) = self.topics.get_mut(name)
                && topic.description == Err(NotDescribed::Missing)
                && tenant.settings.create_dead_letter_topic
            {
                topic.creation = Some(inspector.may_create(name, partitions));
            }
        }
    }

    pub(super) fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    pub(super) fn group(&self, name: &str) -> Option<&Described<Option<Allowed>>> {
        self.groups.get(name)
    }

    pub(super) fn transactions(&self, group: &str) -> Option<&Described<()>> {
        self.transactions.get(group)
    }

    /// The topics whose records a route gets: the one it names, or those that match its pattern now.
    pub(super) fn sources(&self, handler: &Handler, route: &HandlerRoute) -> Vec<Arc<str>> {
        if let TopicSelector::Topic(topic) = &route.topics {
            return vec![topic.clone()];
        }
        let holds = |set: Option<&BTreeSet<Arc<str>>>, name: &Arc<str>| set.is_some_and(|set| set.contains(name));
        let gets = |name: &&Arc<str>| {
            route.topics.matches(name)
                && handler.tenant.topics.allows(name)
                && !takes_dead_letters(name, &handler.tenant.settings.dead_letter)
                && !holds(self.replies.get(&handler.tenant.name), name)
                && !holds(self.named.get(&handler.group), name)
        };
        self.names.iter().filter(gets).cloned().collect()
    }
}

/// Topics that the handlers' routes have, by something that the handlers have.
fn gathered(
    subjects: &[Subject<'_>],
    by: impl Fn(&Handler) -> &Arc<str>,
    of: impl Fn(&HandlerRoute) -> Option<&Arc<str>>,
) -> BTreeMap<Arc<str>, BTreeSet<Arc<str>>> {
    let mut gathered: BTreeMap<Arc<str>, BTreeSet<Arc<str>>> = BTreeMap::new();
    for Subject { handler, .. } in subjects {
        gathered.entry(by(handler).clone()).or_default().extend(handler.routes.iter().filter_map(&of).cloned());
    }
    gathered
}

fn named(route: &HandlerRoute) -> Option<&Arc<str>> {
    match &route.topics {
        TopicSelector::Topic(topic) => Some(topic),
        TopicSelector::Pattern { .. } => None,
    }
}
