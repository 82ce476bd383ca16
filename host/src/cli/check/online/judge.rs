//! What the brokers' answers mean for a handler.

use callgate_core::dead_letter::dead_letter_topic;

use super::view::{Topic, View};
use super::{Findings, Subject};
use crate::broker::{Allowed, NotDescribed, TopicDescription};
use crate::config::{Code, Fault, HandlerRoute, Place};
use crate::deploy::Handler;

/// What a topic is there for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Source,
    Replies,
    DeadLetters,
}

impl Use {
    /// How a sentence begins that is about such a topic.
    fn the_topic(self) -> &'static str {
        match self {
            Self::Source => "the topic",
            Self::Replies => "the reply topic",
            Self::DeadLetters => "the dead-letter topic",
        }
    }

    fn operation(self) -> &'static str {
        match self {
            Self::Source => "READ",
            Self::Replies | Self::DeadLetters => "WRITE",
        }
    }

    fn is_allowed(self, allowed: Allowed) -> bool {
        match self {
            Self::Source => allowed.read,
            Self::Replies | Self::DeadLetters => allowed.write,
        }
    }
}

pub(super) fn judge(subject: &Subject<'_>, view: &View) -> Findings {
    let mut findings = Findings::default();
    judge_group(subject, view, &mut findings);
    judge_transactions(subject, view, &mut findings);
    for route in &subject.handler.routes {
        let there = judge_route(subject.handler, route, view, &mut findings);
        findings.topics.push(there);
    }
    findings
}

fn judge_group(Subject { handler, place }: &Subject<'_>, view: &View, findings: &mut Findings) {
    let group = &handler.group;
    let untold = match view.group(group) {
        Some(Ok(Some(Allowed { read: true, .. }))) => return,
        Some(Ok(Some(Allowed { read: false, .. })) | Err(NotDescribed::Forbidden)) => {
            let message = format!("tenant {} may not join the consumer group {group}", handler.tenant.name);
            let hint = "allow its user the operation READ on the group";
            return findings.fault(place, Code::GroupForbidden, message, hint.to_owned());
        }
        Some(Ok(None)) | None => "the broker does not tell".to_owned(),
        Some(Err(NotDescribed::Missing)) => "nobody has joined it yet".to_owned(),
        Some(Err(NotDescribed::Other(reason))) => reason.clone(),
    };
    let message = format!("whether the consumer group {group} may be joined cannot be told: {untold}");
    findings.warning(place, Code::NotTold, message, "see that its user has READ on the group".to_owned());
}

fn judge_transactions(Subject { handler, place }: &Subject<'_>, view: &View, findings: &mut Findings) {
    let (tenant, group) = (&handler.tenant.name, &handler.group);
    let hint =
        format!("allow its user the operations WRITE and DESCRIBE on transactional ids with the prefix {group}.");
    match view.transactions(group) {
        None | Some(Ok(())) => {}
        Some(Err(NotDescribed::Other(reason))) => {
            let message =
                format!("whether tenant {tenant} may use the transactional ids {group}.* cannot be told: {reason}");
            findings.warning(place, Code::NotTold, message, hint);
        }
        Some(Err(_)) => {
            let message = format!("tenant {tenant} may not use the transactional ids {group}.*");
            findings.fault(place, Code::TransactionsForbidden, message, hint);
        }
    }
}

/// Judges all topics of a route. Returns how many of its own there are.
fn judge_route(handler: &Handler, route: &HandlerRoute, view: &View, findings: &mut Findings) -> usize {
    let place = &route.place;
    let sources = view.sources(handler, route);
    if sources.is_empty() {
        let message = format!("no topic matches {} now", route.topics);
        let hint = "correct `topic_pattern`, or create a topic; it is found within seconds";
        findings.warning(place, Code::NoTopicMatches, message, hint.to_owned());
    }
    let mut there = 0;
    for source in &sources {
        let letters = dead_letter_topic(source, &handler.tenant.settings.dead_letter);
        if let (Some(topic), Some(dead_letters)) = (view.topic(source), view.topic(&letters)) {
            there += usize::from(topic.description.is_ok());
            judge_topic(handler, place, Use::Source, source, topic, findings);
            judge_topic(handler, place, Use::DeadLetters, &letters, dead_letters, findings);
            if let (Some(most), Some(room)) = (topic.max_message_bytes, dead_letters.max_message_bytes)
                && room < most
            {
                let message = format!(
                    "the dead-letter topic {letters} takes {room} bytes (max.message.bytes) and the topic {source} \
                     {most}: a large record could not be dead-lettered, and would stop its partition"
                );
                findings.warning(place, Code::TopicLimit, message, "give both the same limit".to_owned());
            }
        }
    }
    if let Some(name) = &route.route.reply_to
        && let Some(topic) = view.topic(name)
    {
        judge_topic(handler, place, Use::Replies, name, topic, findings);
        let most = handler.tenant.settings.max_response_body;
        if let Some(room) = topic.max_message_bytes.filter(|room| *room < most) {
            let message = format!(
                "the reply topic {name} takes {room} bytes (max.message.bytes) and the tenant's `max_response_body` is \
                 {most}: a response in between becomes a dead letter"
            );
            findings.warning(place, Code::TopicLimit, message, "raise the one, or lower the other".to_owned());
        }
    }
    there
}

fn judge_topic(handler: &Handler, place: &Place, purpose: Use, name: &str, topic: &Topic, findings: &mut Findings) {
    let (tenant, what) = (&handler.tenant.name, purpose.the_topic());
    let operation = purpose.operation();
    match &topic.description {
        Ok(TopicDescription { allowed: Some(allowed), .. }) if purpose.is_allowed(*allowed) => {}
        Ok(TopicDescription { allowed: Some(_), .. }) => {
            let message = format!("tenant {tenant} may not {} {what} {name}", operation.to_lowercase());
            let hint = format!("allow its user the operation {operation} on the topic");
            findings.fault(place, Code::TopicForbidden, message, hint);
        }
        Ok(TopicDescription { allowed: None, .. }) => {
            let message = format!(
                "the broker does not tell whether tenant {tenant} may {} {what} {name}",
                operation.to_lowercase()
            );
            let hint = format!("see that its user has {operation} on the topic");
            findings.warning(place, Code::NotTold, message, hint);
        }
        Err(NotDescribed::Forbidden) => {
            let message = format!("tenant {tenant} may not even see {what} {name}");
            let hint = format!("allow its user the operation {operation} on the topic");
            findings.fault(place, Code::TopicForbidden, message, hint);
        }
        Err(NotDescribed::Missing) => match &topic.creation {
            Some(Ok(())) => {}
            Some(Err(reason)) => {
                let message = format!("{what} {name} is missing, and tenant {tenant} cannot make it: {reason}");
                let hint = "create it, or allow the tenant's user the operation CREATE on it";
                findings.fault(place, Code::TopicMissing, message, hint.to_owned());
            }
            None => {
                let message = format!("{what} {name} is missing");
                findings.fault(place, Code::TopicMissing, message, "create it, or correct its name".to_owned());
            }
        },
        Err(NotDescribed::Other(reason)) => {
            let message = format!("{what} {name} cannot be described: {reason}");
            findings.warning(place, Code::NotTold, message, "look at the broker's log, and check again".to_owned());
        }
    }
}

impl Findings {
    /// Routes that share a topic share its fault: it is told once.
    fn fault(&mut self, place: &Place, code: Code, message: String, hint: String) {
        if !self.faults.iter().any(|fault| fault.message == message) {
            self.faults.push(Fault::new(place, code, message, hint));
        }
    }

    fn warning(&mut self, place: &Place, code: Code, message: String, hint: String) {
        if !self.warnings.iter().any(|warning| warning.message == message) {
            self.warnings.push(Fault::new(place, code, message, hint));
        }
    }
}
