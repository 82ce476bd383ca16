//! `[kafka]`: the brokers, and what holds for every client of the host.

use std::path::Path;
use std::sync::Arc;

use callgate_core::route::valid_topic_name;

use super::fault::{Code, Located, Place};
use super::properties::{self, Properties, PropertyCheck, Scope};
use super::reader::{Section, Text};

/// Where a group begins that has no offset at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstStart {
    /// At the oldest record.
    Earliest,
    /// After the newest record.
    Latest,
}

/// What a reader of replies may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Nothing is lost; after a crash some is repeated.
    AtLeastOnce,
    /// Who reads only what is committed sees each record's effect once.
    ExactlyOnce,
}

/// `[kafka]`, resolved.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// Comma-separated `host:port`, as the client takes it.
    pub bootstrap_servers: String,
    /// What the names of all consumer groups begin with.
    pub group_id: String,
    /// What a reader of replies may rely on.
    pub delivery: Delivery,
    /// Where a new group begins.
    pub first_start: FirstStart,
    /// A name that stays the same over restarts, for static membership.
    pub instance_id: Option<String>,
    /// Headers that may hold the return address; the first one found counts.
    pub return_address_headers: Vec<Arc<str>>,
    /// Headers that are echoed in a reply.
    pub correlation_headers: Vec<Arc<str>>,
    /// Properties of every client.
    pub properties: Properties,
    /// Where the properties are written, for faults of their combination with a tenant's.
    pub(crate) place: Place,
}

impl Kafka {
    /// The consumer group of a tenant, or of a group of its own within the tenant. Neither name has a dot, so two
    /// tenants never share a group.
    pub fn group(&self, tenant: &str, own: Option<&str>) -> String {
        match own {
            Some(own) => format!("{}.{tenant}.{own}", self.group_id),
            None => format!("{}.{tenant}", self.group_id),
        }
    }
}

pub(crate) fn read(section: &mut Section<'_>, folder: &Path, check: PropertyCheck<'_>) -> Kafka {
    Kafka {
        bootstrap_servers: bootstrap_servers(section),
        group_id: identifier(section, "group_id").unwrap_or_else(|| "callgate".to_owned()),
        delivery: section
            .choice("delivery", &[("at-least-once", Delivery::AtLeastOnce), ("exactly-once", Delivery::ExactlyOnce)])
            .map_or(Delivery::AtLeastOnce, |found| found.value),
        first_start: section
            .choice("first_start", &[("earliest", FirstStart::Earliest), ("latest", FirstStart::Latest)])
            .map_or(FirstStart::Earliest, |found| found.value),
        instance_id: identifier(section, "instance_id"),
        return_address_headers: headers(
            section,
            "return_address_headers",
            &["reply-to", "kafka_replyTopic", "zilla:reply-to"],
        ),
        correlation_headers: headers(
            section,
            "correlation_headers",
            &["correlation-id", "kafka_correlationId", "zilla:correlation-id", "correlationid"],
        ),
        properties: properties::read(section, "properties", Scope::Host, folder, check),
        place: section.place().clone(),
    }
}

fn bootstrap_servers(section: &mut Section<'_>) -> String {
    let before = section.is_sound(|section| section.text("bootstrap_servers", "localhost:9092"));
    match before {
        (Some(Located { value: Text { value, .. }, .. }), _)
            if value.split(',').all(|server| is_server(server.trim())) =>
        {
            value
        }
        (Some(Located { value, place }), _) => {
            let message = format!(
                "`{}` is \"{}\", which is not a list of brokers",
                section.path("bootstrap_servers"),
                value.shown
            );
            section.report(&place, Code::InvalidValue, message, "write host:port, several with commas between");
            String::new()
        }
        (None, true) => {
            let message = format!("`{}` is missing", section.path("bootstrap_servers"));
            let place = section.place().clone();
            section.report(&place, Code::MissingKey, message, "name the brokers, for instance \"localhost:9092\"");
            String::new()
        }
        (None, false) => String::new(),
    }
}

/// `host`, `host:port`, or either with a protocol in front, as librdkafka takes them.
fn is_server(server: &str) -> bool {
    let address = server.split_once("://").map_or(server, |(_, address)| address);
    let (host, port) = match address.rsplit_once(':') {
        // An IPv6 address in brackets has colons of its own.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (address, None),
    };
    !host.is_empty()
        && !host.contains(char::is_whitespace)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// A part of names at the broker: what Kafka allows for a topic is what it allows for an instance.
fn identifier(section: &mut Section<'_>, key: &'static str) -> Option<String> {
    let Located { value, place } = section.text(key, "callgate")?;
    if valid_topic_name(&value.value) && value.value.len() <= 100 {
        return Some(value.value);
    }
    let message =
        format!("`{}` is \"{}\"; it takes 1 to 100 letters, digits, `.`, `_` and `-`", section.path(key), value.shown);
    section.report(&place, Code::InvalidValue, message, "write such a name");
    None
}

/// A list of header names.
pub(crate) fn headers(section: &mut Section<'_>, key: &'static str, default: &[&str]) -> Vec<Arc<str>> {
    let Some(written) = section.texts(key, "reply-to") else {
        return default.iter().map(|name| Arc::from(*name)).collect();
    };
    let mut names: Vec<Arc<str>> = Vec::new();
    for Located { value: Text { value, .. }, place } in written {
        let path = section.path(key);
        if value.is_empty() {
            section.report(
                &place,
                Code::InvalidValue,
                format!("`{path}` has an empty name"),
                "name a header, or remove it",
            );
        } else if names.iter().any(|name| name.eq_ignore_ascii_case(&value)) {
            section.report(
                &place,
                Code::InvalidValue,
                format!("`{path}` names {value} twice"),
                "remove one; case makes no difference",
            );
        } else {
            names.push(value.into());
        }
    }
    names
}
