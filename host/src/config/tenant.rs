//! `[tenants.<name>]`: what a tenant's handlers may do, and within which bounds.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use callgate_core::dead_letter::{DeadLetterHeaders, DeadLetterPolicy};
use callgate_core::fair::Weight;
use callgate_core::limits::RequestLimits;
use callgate_core::reply::ReplyPolicy;
use callgate_core::route::{TopicList, valid_topic_name};

use super::fault::{Code, Located};
use super::kafka::{Kafka, headers};
use super::names::check_name;
use super::outbound::{self, AllowedOrigin};
use super::properties::{self, Properties, PropertyCheck, Scope};
use super::reader::Section;
use super::secret::{self, Secrets};
use super::units::Bytes;

/// The name of the section that tenants without one get.
const DEFAULT: &str = "default";

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A tenant, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its name: the folder's in the deploy directory.
    pub name: Arc<str>,
    /// What its routes may consume.
    pub topics: TopicList,
    /// Whom its records may address.
    pub reply_topics: TopicList,
    /// How its replies are addressed and correlated.
    pub reply: ReplyPolicy,
    /// Everything else of its section.
    pub settings: Arc<Settings>,
}

/// What does not depend on the tenant's name: shared by the tenants that get `[tenants.default]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where its dead letters go and what they hold.
    pub dead_letter: DeadLetterPolicy,
    /// Whether a dead-letter topic that is missing is made.
    pub create_dead_letter_topic: bool,
    /// Bounds on what becomes a request.
    pub request: RequestLimits,
    /// Bytes of linear memory for one call, all its components together.
    pub max_memory: usize,
    /// The longest deadline that a route may have.
    pub max_deadline: Duration,
    /// Calls at once, all handlers together.
    pub max_in_flight: usize,
    /// Bytes of a response's body.
    pub max_response_body: usize,
    /// How often a record may go round between handlers.
    pub max_hops: u32,
    /// Time that one call may compute.
    pub max_cpu: Duration,
    /// Its weight among the tenants that compete for the workers.
    pub share: Weight,
    /// Records taken in whose end is not decided.
    pub max_buffered_records: usize,
    /// Bytes of those.
    pub max_buffered_bytes: usize,
    /// Bytes a second that its handlers may write into the log.
    pub max_log: usize,
    /// Whom its handlers may call.
    pub outbound: Vec<AllowedOrigin>,
    /// What its handlers' `[env]` may refer to.
    pub secrets: Secrets,
    /// Properties of its clients, in front of the host's.
    pub properties: Properties,
}

/// A section as it was read: the lists of topics are still without the tenant's name.
#[derive(Clone, Debug)]
struct Read {
    topics: Option<TopicList>,
    reply_topics: Option<TopicList>,
    settings: Arc<Settings>,
}

/// The sections for tenants; `None` is one that has faults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tenants(BTreeMap<String, Option<Read>>);

/// What the operator's file says about a tenant.
#[derive(Clone, Debug)]
pub enum TenantLookup {
    /// It is admitted.
    Found(Arc<Tenant>),
    /// It has a section, which has faults.
    Faulty,
    /// It has no section, and there is none for the rest.
    Unknown,
}

impl Tenants {
    /// The tenant of that name: by its own section, or else by `[tenants.default]`. Nothing is inherited from that one.
    pub(crate) fn get(&self, name: &str, kafka: &Kafka) -> TenantLookup {
        let Some(section) = self.0.get(name).or_else(|| self.0.get(DEFAULT)) else { return TenantLookup::Unknown };
        let Some(read) = section else { return TenantLookup::Faulty };
        // The name of a tenant is always a valid beginning of a topic's name.
        let own = TopicList::new([format!("{name}.*")]).unwrap_or_default();
        let reply_topics = read.reply_topics.as_ref().unwrap_or(&own).clone();
        TenantLookup::Found(Arc::new(Tenant {
            name: name.into(),
            topics: read.topics.as_ref().unwrap_or(&own).clone(),
            reply: ReplyPolicy::new(
                kafka.return_address_headers.clone(),
                kafka.correlation_headers.clone(),
                reply_topics.clone(),
                read.settings.max_hops,
            ),
            reply_topics,
            settings: read.settings.clone(),
        }))
    }
}

pub(crate) fn read_all(root: &mut Section<'_>, kafka: &Kafka, folder: &Path, check: PropertyCheck<'_>) -> Tenants {
    let sections = root.named("tenants", |name, section| {
        if let Err(fault) = check_name("tenant", &name.value, &name.place) {
            section.add(fault);
        }
        (name.value.clone(), read(section, kafka, folder, check))
    });
    Tenants(sections.into_iter().map(|((name, read), sound)| (name, sound.then_some(read))).collect())
}

fn read(section: &mut Section<'_>, kafka: &Kafka, folder: &Path, check: PropertyCheck<'_>) -> Read {
    Read {
        topics: topic_list(section, "topics"),
        reply_topics: topic_list(section, "reply_topics"),
        settings: Arc::new(read_settings(section, kafka, folder, check)),
    }
}

fn read_settings(section: &mut Section<'_>, kafka: &Kafka, folder: &Path, check: PropertyCheck<'_>) -> Settings {
    Settings {
        dead_letter: dead_letter_policy(section),
        create_dead_letter_topic: section.boolean("create_dead_letter_topic").unwrap_or(true),
        request: RequestLimits {
            max_headers: count(section, "max_headers", 1, 100_000, 256),
            max_header_bytes: size(section, "max_header_bytes", KIB, 16 * MIB, 64 * KIB),
            max_body: size(section, "max_request_body", 1, GIB, 4 * MIB),
        },
        max_memory: size(section, "max_memory", 64 * KIB, 4 * GIB, 64 * MIB),
        max_deadline: duration(section, "max_deadline", Duration::from_secs(30)),
        max_in_flight: count(section, "max_in_flight", 1, 100_000, 64),
        max_response_body: size(section, "max_response_body", 1, GIB, 4 * MIB),
        max_hops: u32::try_from(count(section, "max_hops", 1, 10_000, 16)).unwrap_or(u32::MAX),
        max_cpu: duration(section, "max_cpu", Duration::from_secs(1)),
        share: share(section),
        max_buffered_records: count(section, "max_buffered_records", 1, 10_000_000, 10_000),
        max_buffered_bytes: size(section, "max_buffered_bytes", 64 * KIB, 64 * GIB, 32 * MIB),
        max_log: size(section, "max_log", 1, GIB, 64 * KIB),
        outbound: outbound::read(section, folder),
        secrets: secret::read_all(section),
        properties: read_properties(section, kafka, folder, check),
    }
}

/// A tenant's properties make sense only together with the host's, so the two are checked as one.
fn read_properties(section: &mut Section<'_>, kafka: &Kafka, folder: &Path, check: PropertyCheck<'_>) -> Properties {
    let (properties, sound) =
        section.is_sound(|section| properties::read(section, "kafka_properties", Scope::Tenant, folder, check));
    if sound && properties.iter().next().is_some() {
        let place = section.place().clone();
        for fault in properties::check_together(&kafka.properties.overlaid_with(&properties), &place, check) {
            section.add(fault);
        }
    }
    properties
}

fn topic_list(section: &mut Section<'_>, key: &'static str) -> Option<TopicList> {
    let entries = section.texts(key, "shop.*")?;
    let (sound, faulty): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| TopicList::new([entry.value.value.as_str()]).is_ok());
    for Located { value, place } in faulty {
        let message =
            format!("`{}` has \"{}\", which is no topic and no prefix of topics", section.path(key), value.shown);
        section.report(&place, Code::InvalidTopic, message, "write a topic's name, or its beginning and a `*`");
    }
    TopicList::new(sound.into_iter().map(|entry| entry.value.value)).ok()
}

fn dead_letter_policy(section: &mut Section<'_>) -> DeadLetterPolicy {
    let sets = [
        ("callgate", DeadLetterHeaders::Callgate),
        ("connect", DeadLetterHeaders::Connect),
        ("spring", DeadLetterHeaders::Spring),
    ];
    let timestamps = [("now", false), ("original", true)];
    DeadLetterPolicy {
        topic: dead_letter_topic(section),
        headers: section.choice("dead_letter_headers", &sets).map(|set| set.value).unwrap_or_default(),
        original_timestamp: section.choice("dead_letter_timestamp", &timestamps).is_some_and(|original| original.value),
        redact: headers(section, "redact_headers", &[]),
    }
}

fn dead_letter_topic(section: &mut Section<'_>) -> Option<Arc<str>> {
    let Located { value, place } = section.text("dead_letter_topic", "shop.dlt")?;
    if valid_topic_name(&value.value) {
        return Some(value.value.into());
    }
    let message = format!(
        "`{}` is \"{}\", which Kafka does not take as a topic's name",
        section.path("dead_letter_topic"),
        value.shown
    );
    section.report(&place, Code::InvalidTopic, message, "use 1 to 249 letters, digits, `.`, `_` and `-`");
    None
}

fn share(section: &mut Section<'_>) -> Weight {
    let (least, most) = Weight::BOUNDS;
    section.number("share", least..=most).and_then(|share| Weight::new(share.value)).unwrap_or(Weight::ONE)
}

fn count(section: &mut Section<'_>, key: &'static str, from: u64, to: u64, default: usize) -> usize {
    section.count(key, from..=to).and_then(|count| usize::try_from(count.value).ok()).unwrap_or(default)
}

fn size(section: &mut Section<'_>, key: &'static str, from: u64, to: u64, default: u64) -> usize {
    let size = section.quantity(key, Bytes(from)..=Bytes(to)).map_or(default, |size| size.value.0);
    usize::try_from(size).unwrap_or(usize::MAX)
}

fn duration(section: &mut Section<'_>, key: &'static str, default: Duration) -> Duration {
    section.quantity(key, MS..=HOUR).map_or(default, |duration| duration.value)
}
