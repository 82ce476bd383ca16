//! The properties that are not open, each group with its reason.

use super::{Scope, names_file};

/// Properties, why they are not open, and what to do instead.
type Row = (&'static [&'static str], &'static str, &'static str);

/// What would break a promise of the host, whoever sets it.
const PROMISES: &[Row] = &[
    (
        &["bootstrap.servers", "metadata.broker.list"],
        "the brokers have a key of their own",
        "set `bootstrap_servers` in [kafka]",
    ),
    (
        &["group.id"],
        "a tenant's group is named after it, so that no tenant reads on from another's offsets",
        "set `group_id` in [kafka]",
    ),
    (
        &["group.instance.id", "transactional.id"],
        "both follow from the host's stable name",
        "set `instance_id` in [kafka]",
    ),
    (
        &["auto.offset.reset"],
        "a reset passes over records or repeats them without a word",
        "set `first_start` in [kafka], which counts for a group that has no offset yet",
    ),
    (
        &[
            "enable.auto.commit",
            "auto.commit.enable",
            "auto.commit.interval.ms",
            "enable.auto.offset.store",
            "offset.store.method",
            "offset.store.path",
            "offset.store.sync.interval.ms",
        ],
        "an offset is committed when its record's end is durable, and at no other time",
        "remove it",
    ),
    (&["isolation.level"], "records of aborted transactions never reach a handler", "remove it"),
    (&["check.crcs"], "records are always checked against corruption", "remove it"),
    (
        &["group.protocol", "group.protocol.type", "group.remote.assignor", "partition.assignment.strategy"],
        "partitions change hands cooperatively, one by one, and the host relies on it",
        "remove it",
    ),
    (
        &[
            "enable.idempotence",
            "enable.gapless.guarantee",
            "acks",
            "request.required.acks",
            "max.in.flight",
            "max.in.flight.requests.per.connection",
            "retries",
            "message.send.max.retries",
            "queuing.strategy",
        ],
        "replies and dead letters are acknowledged by all replicas, once and in order",
        "remove it",
    ),
    (
        &[
            "message.timeout.ms",
            "delivery.timeout.ms",
            "transaction.timeout.ms",
            "delivery.report.only.error",
            "produce.offset.report",
        ],
        "the host judges each delivery itself and sends again what merely timed out",
        "remove it",
    ),
    (&["allow.auto.create.topics"], "no topic is ever made by a return address", "create the topics at the broker"),
    (&["topic.blacklist"], "which topics are consumed is what the manifests say", "leave them out there"),
    (&["partitioner"], "keys of replies land where Java's default partitioner puts them", "remove it"),
    (
        &["message.max.bytes"],
        "the topic's limit counts for a reply, never one of the client's own",
        "set `max.message.bytes` of the topic at the broker",
    ),
    (&["linger.ms", "queue.buffering.max.ms"], "the host gathers what goes out by its own backlog", "remove it"),
    (
        &[
            "queued.min.messages",
            "queued.max.messages.kbytes",
            "fetch.max.bytes",
            "fetch.message.max.bytes",
            "max.partition.fetch.bytes",
            "receive.message.max.bytes",
            "queue.buffering.max.messages",
            "queue.buffering.max.kbytes",
        ],
        "the client's buffers come out of the host's memory budget",
        "set `memory` in [limits], and `max_buffered_records` and `max_buffered_bytes` of the tenant",
    ),
    (
        &[
            "enable.partition.eof",
            "enabled_events",
            "statistics.interval.ms",
            "log.queue",
            "log_level",
            "internal.termination.signal",
        ],
        "it changes which events the host gets from the client",
        "remove it",
    ),
    (
        &["builtin.features", "interceptors", "opaque", "default_topic_conf", "ssl_key", "ssl_certificate", "ssl_ca"],
        "it stands for something within a program and cannot be written in a file",
        "remove it; certificates and keys are set by the `ssl.*` properties that end in .location or .pem",
    ),
];

/// What this build of the client does not have.
const NOT_BUILT_IN: &[Row] = &[
    (
        &["sasl.kerberos.", "sasl.oauthbearer.", "enable.sasl.oauthbearer."],
        "its mechanism is not in this build",
        MECHANISMS,
    ),
    (&["https.ca."], "it serves OAUTHBEARER, which is not in this build", MECHANISMS),
];

const MECHANISMS: &str = "use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, or client certificates";

/// What would let a tenant's clients load code or read files of the host.
const HOST_ONLY: &[Row] = &[
    (
        &["plugin.library.paths", "ssl.providers", "ssl.engine.id", "ssl.engine.location"],
        "a tenant's clients load no code",
        "remove it",
    ),
    (
        &["debug", "log.connection.close", "log.thread.name"],
        "the client's log is the host's",
        "set it in [kafka.properties]",
    ),
];

/// Why a property is not open and what to do instead, or `None` if it is open.
pub(super) fn reason(name: &str, scope: Scope) -> Option<(&'static str, &'static str)> {
    let by_name =
        |rows: &[Row]| rows.iter().find(|(names, ..)| names.contains(&name)).map(|(_, why, instead)| (*why, *instead));
    let by_start = |rows: &[Row]| {
        let row = rows.iter().find(|(starts, ..)| starts.iter().any(|start| name.starts_with(start)));
        row.map(|(_, why, instead)| (*why, *instead))
    };
    let callback = || {
        let is_callback = ["_cb", "_cmp", "_callback_data"].iter().any(|end| name.ends_with(end));
        is_callback.then_some(("it stands for a function of a program", "remove it"))
    };
    let host_only = || {
        if scope == Scope::Host {
            return None;
        }
        let reads_file = names_file(name);
        let content = "give the content instead, for instance `\"ssl.ca.pem\" = \"${file:ca.pem}\"`";
        by_name(HOST_ONLY).or(reads_file.then_some(("a tenant's clients read no files of the host", content)))
    };
    by_name(PROMISES).or_else(|| by_start(NOT_BUILT_IN)).or_else(callback).or_else(host_only)
}
