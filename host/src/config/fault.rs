//! What is wrong with a configuration: where, what, and what to do about it.

use std::fmt;
use std::sync::Arc;

use callgate_core::printable::Printable;

/// Declares the codes once, so that the list, the names and the documentation test cannot drift apart.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The stable code of a fault; `docs/errors.md` has a section for each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it is printed and documented.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

codes! {
    /// A file is missing, cannot be read, or is not UTF-8.
    FileNotRead = "config.file-not-read",
    /// The file is not TOML.
    Syntax = "config.syntax",
    /// A key that nobody reads.
    UnknownKey = "config.unknown-key",
    /// A required key is absent.
    MissingKey = "config.missing-key",
    /// A value of another type than the key takes.
    WrongType = "config.wrong-type",
    /// A value outside of what the key takes.
    InvalidValue = "config.invalid-value",
    /// A duration that does not parse.
    InvalidDuration = "config.invalid-duration",
    /// A size that does not parse.
    InvalidSize = "config.invalid-size",
    /// A name of a tenant, handler or group that breaks the rule for names.
    InvalidName = "config.invalid-name",
    /// A topic's name, or an entry of a list of topics, that Kafka does not allow.
    InvalidTopic = "config.invalid-topic",
    /// An entry of `outbound` that is no origin, or one that nobody may reach.
    InvalidOrigin = "config.invalid-origin",
    /// A `${..}` that cannot be read, or may not stand where it stands.
    Reference = "config.reference",
    /// A `CALLGATE__` variable that overrides nothing.
    UnknownOverride = "config.unknown-override",
    /// A property of the Kafka client that would break a promise of the host.
    PropertyRefused = "kafka.property-refused",
    /// A property that the Kafka client does not know, or a value that it does not take.
    PropertyInvalid = "kafka.property-invalid",
    /// Security settings that contradict each other or miss a part.
    Security = "kafka.security",
    /// An operation that does not parse.
    InvalidOperation = "manifest.invalid-operation",
    /// A path parameter is bound that no operation of the route has.
    UnusedBinding = "manifest.unused-binding",
    /// A topic pattern that is not a regular expression.
    InvalidPattern = "manifest.invalid-pattern",
    /// A topic outside of what the tenant may consume.
    TopicNotAllowed = "manifest.topic-not-allowed",
    /// A reply topic outside of what the tenant's records may address.
    ReplyTopicNotAllowed = "manifest.reply-topic-not-allowed",
    /// A value over a limit of the tenant.
    OverLimit = "manifest.over-limit",
    /// Two routes that get the same topic.
    TopicConflict = "manifest.topic-conflict",
    /// The deploy directory or a folder in it cannot be read.
    DirectoryNotRead = "deploy.directory-not-read",
    /// A manifest or component that lies in no tenant's folder.
    StrayFile = "deploy.stray-file",
    /// A folder of a tenant that the operator's file does not admit.
    UnknownTenant = "deploy.unknown-tenant",
    /// A tenant whose section in the operator's file has faults of its own.
    TenantFaulty = "deploy.tenant-faulty",
    /// Handlers have gone at once, as if the directory were not mounted.
    HandlersMissing = "deploy.handlers-missing",
    /// The component is not there.
    ComponentMissing = "deploy.component-missing",
    /// A component alone that a manifest which is not TOML may mean.
    ComponentWaits = "deploy.component-waits",
    /// The component is larger than any that is taken.
    ComponentTooLarge = "deploy.component-too-large",
    /// A path that leaves the tenant's folder.
    PathOutside = "deploy.path-outside",
    /// The component is not the one that the manifest names.
    DigestMismatch = "deploy.digest-mismatch",
    /// The component cannot be run: not a component, or without the exports of a handler.
    ComponentRefused = "deploy.component-refused",
    /// More tenants and groups than the host may have clients for.
    TooManyClientSets = "deploy.too-many-client-sets",
    /// No broker answers.
    BrokerUnreachable = "broker.unreachable",
    /// The broker does not take a tenant's credentials.
    BrokerCredentials = "broker.credentials",
    /// A topic that a handler needs is not there.
    TopicMissing = "broker.topic-missing",
    /// A topic that a tenant may not read or write as its handler needs.
    TopicForbidden = "broker.topic-forbidden",
    /// A consumer group that a tenant may not join.
    GroupForbidden = "broker.group-forbidden",
    /// The tenant may not use transactional ids of a group, and delivery is exactly-once.
    TransactionsForbidden = "broker.transactions-forbidden",
    /// A topic takes smaller records than may be written to it (a warning).
    TopicLimit = "broker.topic-limit",
    /// A topic pattern that matches no topic now (a warning).
    NoTopicMatches = "broker.no-topic-matches",
    /// The broker does not tell what was to be checked (a warning).
    NotTold = "broker.not-told",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a fault, or the value that it is about, was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A file or folder as a whole.
    File(Arc<str>),
    /// A line of a file, from 1.
    Line(Arc<str>, usize),
    /// An environment variable.
    Environment(Arc<str>),
}

impl Place {
    /// The file, or `None` for the environment.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::File(file) | Self::Line(file, _) => Some(file),
            Self::Environment(_) => None,
        }
    }

    /// The line, where there is one.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::Line(_, line) => Some(*line),
            Self::File(_) | Self::Environment(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.write_str(file),
            Self::Line(file, line) => write!(f, "{file}:{line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it is written.
    pub place: Place,
    /// Its stable code.
    pub code: Code,
    /// What is wrong. Never holds the value of a secret.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Fault {
    /// A fault at a place.
    pub fn new(place: &Place, code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place: place.clone(), code, message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, code, message, hint } = self;
        write!(f, "{}: [{code}] {} — {}", Printable(place), Printable(message), Printable(hint))
    }
}

/// A value together with where it was written, for faults that are found later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub place: Place,
}

impl<T> Located<T> {
    /// The same place with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: change(self.value), place: self.place }
    }
}

#[cfg(test)]
mod tests;
