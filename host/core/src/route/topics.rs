//! Names of topics: which are valid, which a route gets, which a reply may go to.

use std::fmt;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

#[cfg(test)]
mod tests;

/// Bytes that a compiled pattern takes at most. Names of topics are short, and a pattern may be a stranger's.
const MAX_COMPILED: usize = 32 << 10;

/// Whether Kafka takes that name for a topic: 1 to 249 of letters, digits, `.`, `_` and `-`, and neither `.` nor `..`
/// (`org.apache.kafka.common.internals.Topic`).
pub fn valid_topic_name(name: &str) -> bool {
    (1..=249).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// A list of topics: exact names, and prefixes with a `*` at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicList {
    entries: Vec<Arc<str>>,
}

impl TopicList {
    /// A list of these names and prefixes. The error says which entry is neither.
    pub fn new<S: Into<Arc<str>>>(entries: impl IntoIterator<Item = S>) -> Result<Self, String> {
        let entries: Vec<Arc<str>> = entries.into_iter().map(Into::into).collect();
        for entry in &entries {
            let name = entry.strip_suffix('*').unwrap_or(entry);
            if **entry != *"*" && !valid_topic_name(name) {
                return Err(format!("`{entry}` is neither the name of a topic nor a prefix with `*` at its end"));
            }
        }
        Ok(Self { entries })
    }

    /// Whether the list holds that topic.
    pub fn allows(&self, topic: &str) -> bool {
        self.entries.iter().any(|entry| match entry.strip_suffix('*') {
            Some(prefix) => topic.starts_with(prefix),
            None => topic == &**entry,
        })
    }
}

/// Which topics a route gets.
#[derive(Clone, Debug)]
pub enum TopicSelector {
    /// The one of that name.
    Topic(Arc<str>),
    /// Every one whose whole name matches and that no exclusion takes out.
    Pattern {
        /// Anchored at both ends.
        regex: Regex,
        /// Anchored globs, as regular expressions.
        exclude: Vec<Regex>,
    },
}

impl TopicSelector {
    /// A pattern for whole names, without those that one of the globs matches; in a glob `*` stands for any text.
    pub fn pattern(pattern: &str, exclude: &[impl AsRef<str>]) -> Result<Self, String> {
        let regex = compile(pattern).map_err(|reason| format!("`{pattern}` {reason}"))?;
        let exclude = exclude.iter().map(|glob| glob_regex(glob.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self::Pattern { regex, exclude })
    }

    /// Whether it is a pattern, which may get any number of topics.
    pub fn is_pattern(&self) -> bool {
        matches!(self, Self::Pattern { .. })
    }

    /// Whether a topic of that name is one of them. Names that begin with `__` are Kafka's own: no pattern takes them.
    pub fn matches(&self, topic: &str) -> bool {
        match self {
            Self::Topic(name) => **name == *topic,
            Self::Pattern { regex, exclude } => {
                !topic.starts_with("__")
                    && regex.is_match(topic.as_bytes())
                    && !exclude.iter().any(|glob| glob.is_match(topic.as_bytes()))
            }
        }
    }
}

/// A topic's name, or the pattern between slashes.
impl fmt::Display for TopicSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(topic) => f.write_str(topic),
            Self::Pattern { regex, .. } => write!(f, "/{regex}/"),
        }
    }
}

/// A regular expression for whole names. The error says what is wrong with the pattern.
fn compile(pattern: &str) -> Result<Regex, String> {
    // Looked at alone first, so that no bracket of it pairs with one of ours; the group keeps `a|b` whole.
    regex_syntax::ast::parse::Parser::new().parse(pattern).map_err(|error| unreadable(&error))?;
    let anchored = format!("^(?:{pattern})$");
    // A topic's name is ASCII: without the rest of Unicode `\w` is a hundredth of the size. Classes such as `\pL` need it.
    let build = |unicode| {
        RegexBuilder::new(&anchored).unicode(unicode).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).build()
    };
    build(false).or_else(|_| build(true)).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => format!("takes more than {} KiB when compiled", MAX_COMPILED >> 10),
        error => unreadable(&error),
    })
}

fn unreadable(error: &impl fmt::Display) -> String {
    format!("is no regular expression: {error}")
}

fn glob_regex(glob: &str) -> Result<Regex, String> {
    let parts: Vec<String> = glob.split('*').map(regex::escape).collect();
    compile(&format!("(?s:{})", parts.join(".*"))).map_err(|reason| format!("`{glob}` {reason}"))
}
