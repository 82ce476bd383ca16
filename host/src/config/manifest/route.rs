//! `[[routes]]`: which topics, as which operation, on which terms.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use callgate_core::breaker::BreakerPolicy;
use callgate_core::order::Ordering;
use callgate_core::retry::RetryPolicy;
use callgate_core::route::{
    Binding, ClientErrors, Instances, Operation, PathPart, TopicSelector, WithoutReplyTo, valid_topic_name,
};
use http::Method;

use crate::config::fault::{Code, Located, Place};
use crate::config::reader::{Section, Text};
use crate::config::units::Quantity;

/// What every pattern leaves out unless the manifest says otherwise: dead letters and replies.
const EXCLUDE: [&str; 2] = ["*-dlt", "*.replies"];

/// The operation of a route that names none: `POST /`.
pub(crate) fn default_operation() -> Operation {
    Operation { method: Method::POST, path: vec![PathPart::Literal("/".to_owned())] }
}

/// A circuit breaker that does not close by time.
const MANUAL: &str = "manual";

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A route as it was written.
#[derive(Clone, Debug)]
pub(crate) struct RouteManifest {
    pub(crate) topics: Located<TopicSelector>,
    pub(crate) operation: Operation,
    pub(crate) tombstone: Option<Operation>,
    pub(crate) query: Vec<(String, Binding)>,
    pub(crate) reply_to: Option<Located<Arc<str>>>,
    pub(crate) without_reply_to: WithoutReplyTo,
    pub(crate) client_errors: ClientErrors,
    pub(crate) ordering: Ordering,
    pub(crate) max_in_flight: Option<Located<usize>>,
    pub(crate) deadline: Option<Located<Duration>>,
    pub(crate) retry: RetryPolicy,
    pub(crate) circuit_breaker: Option<BreakerPolicy>,
    pub(crate) instances: Instances,
}

/// The terms of a route that says nothing about them.
pub(crate) const RETRY: RetryPolicy =
    RetryPolicy { attempts: 3, backoff: Duration::from_millis(200), max_backoff: Duration::from_secs(30) };

/// Records that one instance serves where a route says `"reuse"` and not how often.
const REUSE: u32 = 128;

/// Reads one route; `None` where it has no topic or no operation that could be understood.
pub(crate) fn read(section: &mut Section<'_>) -> Option<RouteManifest> {
    let topics = topics(section);
    let bindings = bindings(section, "path");
    let operation = operation(section, "operation", &bindings);
    let tombstone = operation_at(section, "tombstone", &bindings);
    if let Some(operation) = &operation {
        report_unused(section, &bindings, operation, tombstone.as_ref());
    }
    let manifest = RouteManifest {
        query: bindings_in_order(section, "query").into_iter().map(|(name, binding, _)| (name, binding)).collect(),
        reply_to: reply_to(section),
        without_reply_to: section
            .choice("without_reply_to", &[("call", WithoutReplyTo::Call), ("skip", WithoutReplyTo::Skip)])
            .map_or(WithoutReplyTo::Call, |found| found.value),
        client_errors: section
            .choice("client_errors", &[("dead-letter", ClientErrors::DeadLetter), ("accept", ClientErrors::Accept)])
            .map_or(ClientErrors::DeadLetter, |found| found.value),
        ordering: section
            .choice(
                "ordering",
                &[("partition", Ordering::Partition), ("key", Ordering::Key), ("unordered", Ordering::Unordered)],
            )
            .map_or(Ordering::Partition, |found| found.value),
        max_in_flight: section.count("max_in_flight", 1..=100_000).map(|count| count.map(|count| count as usize)),
        deadline: section.quantity("deadline", MS..=HOUR),
        retry: section.within("retry", retry),
        circuit_breaker: section.within_unless_false("circuit_breaker", circuit_breaker),
        instances: instances(section),
        topics: topics?,
        operation: operation?,
        tombstone,
    };
    Some(manifest)
}

fn topics(section: &mut Section<'_>) -> Option<Located<TopicSelector>> {
    let ((topic, pattern, exclude), sound) = section.is_sound(|section| {
        (
            section.text("topic", "shop.orders"),
            section.text("topic_pattern", "shop\\..*"),
            section.texts("exclude", "*-dlt"),
        )
    });
    let place = section.place().clone();
    match (topic, pattern) {
        (Some(topic), None) => {
            if exclude.is_some() {
                let message = format!("`{}` has no effect beside `topic`", section.path("exclude"));
                section.report(&place, Code::InvalidValue, message, "remove it, or use `topic_pattern`");
            }
            one_topic(section, topic)
        }
        (None, Some(pattern)) => topic_pattern(section, pattern, exclude),
        (Some(_), Some(pattern)) => {
            let message = "a route has either `topic` or `topic_pattern`";
            section.report(&pattern.place, Code::InvalidValue, message, "remove one, or write a second [[routes]]");
            None
        }
        (None, None) => {
            if sound {
                section.report(
                    &place,
                    Code::MissingKey,
                    "the route has no `topic`",
                    "name one, or give a `topic_pattern`",
                );
            }
            None
        }
    }
}

fn one_topic(section: &Section<'_>, topic: Located<Text>) -> Option<Located<TopicSelector>> {
    let Located { value: Text { value, shown }, place } = topic;
    if valid_topic_name(&value) {
        return Some(Located { value: TopicSelector::Topic(value.into()), place });
    }
    let message = format!("`{}` is \"{shown}\", which Kafka does not take as a topic's name", section.path("topic"));
    section.report(
        &place,
        Code::InvalidTopic,
        message,
        "use 1 to 249 letters, digits, `.`, `_` and `-`; for more topics use `topic_pattern`",
    );
    None
}

fn topic_pattern(
    section: &Section<'_>,
    pattern: Located<Text>,
    exclude: Option<Vec<Located<Text>>>,
) -> Option<Located<TopicSelector>> {
    let exclude = match exclude {
        Some(globs) => globs.into_iter().map(|glob| glob.value.value).collect(),
        None => EXCLUDE.map(str::to_owned).to_vec(),
    };
    if pattern.value.value.is_empty() {
        let message = format!("`{}` is empty, and no topic has such a name", section.path("topic_pattern"));
        let hint = "write a regular expression for the whole name, `.*` for all of them";
        section.report(&pattern.place, Code::InvalidPattern, message, hint);
        return None;
    }
    match TopicSelector::pattern(&pattern.value.value, &exclude) {
        Ok(selector) => Some(Located { value: selector, place: pattern.place }),
        Err(reason) => {
            let message = format!(
                "`{}`: {}",
                section.path("topic_pattern"),
                reason.lines().last().unwrap_or_default().trim_start_matches("error: ")
            );
            section.report(
                &pattern.place,
                Code::InvalidPattern,
                message,
                "write a regular expression for the whole name, as Rust's regex crate reads it",
            );
            None
        }
    }
}

/// The operation of a route, or the default one.
fn operation(section: &mut Section<'_>, key: &'static str, bindings: &Bindings) -> Option<Operation> {
    let (written, sound) = section.is_sound(|section| operation_at(section, key, bindings));
    written.or_else(|| sound.then(default_operation))
}

fn operation_at(section: &mut Section<'_>, key: &'static str, bindings: &Bindings) -> Option<Operation> {
    let Located { value, place } = section.text(key, "POST /orders/{id}")?;
    let by_name = bindings.iter().map(|(name, (binding, _))| (name.clone(), binding.clone())).collect();
    match Operation::parse(&value.value, &by_name) {
        Ok(operation) => Some(operation),
        Err(reason) => {
            let (what, hint) = reason.split_once(": ").unwrap_or((&reason, "write one such as `POST /orders/{id}`"));
            section.report(&place, Code::InvalidOperation, format!("`{}`: {what}", section.path(key)), hint);
            None
        }
    }
}

type Bindings = BTreeMap<String, (Binding, Place)>;

fn bindings(section: &mut Section<'_>, key: &'static str) -> Bindings {
    bindings_in_order(section, key).into_iter().map(|(name, binding, place)| (name, (binding, place))).collect()
}

fn bindings_in_order(section: &mut Section<'_>, key: &'static str) -> Vec<(String, Binding, Place)> {
    let mut bindings = Vec::new();
    for (name, Located { value, place }) in section.entries(key) {
        let binding = match value.value.as_str() {
            "key" => Binding::Key,
            from => match from.strip_prefix("header:").filter(|header| !header.is_empty()) {
                Some(header) => Binding::Header(header.into()),
                None => {
                    let path = section.path(key);
                    let message =
                        format!("`{path}.{}` is \"{}\", which is no part of a record", name.value, value.shown);
                    section.report(&place, Code::InvalidValue, message, "write \"header:NAME\" or \"key\"");
                    continue;
                }
            },
        };
        bindings.push((name.value, binding, place));
    }
    bindings
}

fn report_unused(section: &Section<'_>, bindings: &Bindings, operation: &Operation, tombstone: Option<&Operation>) {
    let used = |name: &str| {
        operation.parameters().chain(tombstone.into_iter().flat_map(Operation::parameters)).any(|known| known == name)
    };
    for (name, (_, place)) in bindings.iter().filter(|(name, _)| !used(name)) {
        let message =
            format!("`{}.{name}` binds a parameter that no operation of this route has", section.path("path"));
        section.report(
            place,
            Code::UnusedBinding,
            message,
            format!("write `{{{name}}}` as a segment of the operation's path, or remove the binding"),
        );
    }
}

fn reply_to(section: &mut Section<'_>) -> Option<Located<Arc<str>>> {
    let Located { value, place } = section.text("reply_to", "shop.replies")?;
    if valid_topic_name(&value.value) && !value.value.starts_with("__") {
        return Some(Located { value: value.value.into(), place });
    }
    let message = format!("`{}` is \"{}\", which cannot be a reply topic", section.path("reply_to"), value.shown);
    section.report(
        &place,
        Code::InvalidTopic,
        message,
        "use 1 to 249 letters, digits, `.`, `_` and `-`, not beginning with `__`",
    );
    None
}

fn instances(section: &mut Section<'_>) -> Instances {
    let reuse = |records| Instances::Reuse { records };
    if !section.is_table("instances") {
        let words = [("fresh", Instances::Fresh), ("reuse", reuse(REUSE))];
        return section.choice("instances", &words).map_or(Instances::Fresh, |found| found.value);
    }
    section.within("instances", |section| {
        let (records, sound) = section.is_sound(|section| section.count("reuse", 1..=1_000_000));
        if records.is_none() && sound {
            let place = section.place().clone();
            let message = format!("`{}` is missing", section.path("reuse"));
            section.report(&place, Code::MissingKey, message, "write how many records one instance serves");
        }
        records.map_or(Instances::Fresh, |records| reuse(records.value as u32))
    })
}

fn retry(section: &mut Section<'_>) -> RetryPolicy {
    let attempts = section.count("attempts", 1..=1000).map_or(RETRY.attempts, |count| count.value as u32);
    let backoff = section.quantity("backoff", MS..=HOUR);
    let max_backoff = section.quantity("max_backoff", MS..=DAY);
    let longest = max_backoff.as_ref().map_or(RETRY.max_backoff, |longest| longest.value);
    let first = backoff.as_ref().map_or(RETRY.backoff.min(longest), |first| first.value);
    if first > longest
        && let Some(place) = backoff.or(max_backoff).map(|written| written.place)
    {
        let message = format!("`{}` is longer than `max_backoff`", section.path("backoff"));
        section.report(
            &place,
            Code::InvalidValue,
            message,
            "raise `max_backoff`, which is 30s where it is not written",
        );
    }
    RetryPolicy { attempts, backoff: first, max_backoff: longest }
}

fn circuit_breaker(section: &mut Section<'_>) -> BreakerPolicy {
    let default = BreakerPolicy::default();
    let mut count = |key| section.count(key, 1..=1_000_000).map(|count| count.value as u32);
    BreakerPolicy {
        min_records: count("min_records").unwrap_or(default.min_records),
        run: count("run"),
        share: section.number("share", 0.01..=1.0).map_or(default.share, |share| share.value),
        window: section.quantity("window", SECOND..=DAY).map_or(default.window, |window| window.value),
        pause: pause(section).unwrap_or(default.pause),
    }
}

/// How long a breaker stays open: a duration, or until somebody closes it.
fn pause(section: &mut Section<'_>) -> Option<Option<Duration>> {
    let Located { value, place } = section.text("pause", "30s")?;
    if value.value == MANUAL {
        return Some(None);
    }
    let pause = Duration::parse(&value.value).filter(|pause| (SECOND..=DAY).contains(pause));
    if pause.is_none() {
        let message = format!("`{}` is \"{}\"", section.path("pause"), value.shown);
        let hint = format!("write a duration from {} to {}, or \"{MANUAL}\"", SECOND.show(), DAY.show());
        section.report(&place, Code::InvalidDuration, message, hint);
    }
    pause.map(Some)
}
