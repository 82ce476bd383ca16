//! Where a group begins that has never committed anything, and how long that counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callgate_core::metadata::UNKNOWN_TOPIC;

use super::opening::PATIENCE;
use crate::broker::{GroupQuestions, TopicPartition};

#[cfg(test)]
mod tests;

/// Where a group begins that has never committed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FirstStart {
    /// At the first record there is.
    #[default]
    Earliest,
    /// After the last record there is.
    Latest,
}

/// The partitions that existed when this host first saw a group without any offset, each with the id of its topic. Only
/// they begin as [`FirstStart`] says, and each of them only once: a partition that is added later begins at its start, and
/// so does one whose topic was made anew, or that has had an offset before, so that nothing in it is missed.
#[derive(Debug)]
pub(super) struct FirstStarts {
    policy: FirstStart,
    /// `None`: not looked yet.
    waiting: Mutex<Option<BTreeMap<TopicPartition, [u8; 16]>>>,
}

impl FirstStarts {
    pub(super) fn new(policy: FirstStart) -> Arc<Self> {
        Arc::new(Self { policy, waiting: Mutex::new(None) })
    }

    /// Looks whether the group has any offset for these topics, the first time; and later, which partitions have one by now.
    ///
    /// # Errors
    /// A sentence: what is to be known the first time is not.
    pub(super) fn learn(&self, questions: &GroupQuestions, topics: &[Arc<str>]) -> Result<(), String> {
        if self.policy == FirstStart::Earliest {
            return Ok(());
        }
        let waiting = self.waiting().clone();
        if let Some(waiting) = waiting {
            // Others may have begun them. Without an answer they only wait longer to be forgotten.
            let begun = with_offset(questions, &waiting).unwrap_or_default();
            begun.iter().for_each(|at| self.begun(at));
            return Ok(());
        }
        let all = all_of(questions, topics)?;
        let has_begun = !with_offset(questions, &all)?.is_empty();
        *self.waiting() = Some(if has_begun { BTreeMap::new() } else { all });
        Ok(())
    }

    /// It has an offset: whatever becomes of that, this was no first start any more.
    pub(super) fn begun(&self, at: &TopicPartition) {
        if let Some(waiting) = &mut *self.waiting() {
            waiting.remove(at);
        }
    }

    /// Whether a partition that has no offset begins after its last record.
    pub(super) fn is_at_end(&self, at: &TopicPartition, topic_id: [u8; 16]) -> bool {
        let waiting = self.waiting();
        let seen = waiting.as_ref().and_then(|waiting| waiting.get(at));
        seen.is_some_and(|seen| *seen == topic_id || [*seen, topic_id].contains(&UNKNOWN_TOPIC))
    }

    fn waiting(&self) -> MutexGuard<'_, Option<BTreeMap<TopicPartition, [u8; 16]>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those of the partitions that the group has an offset for.
fn with_offset(
    questions: &GroupQuestions,
    partitions: &BTreeMap<TopicPartition, [u8; 16]>,
) -> Result<Vec<TopicPartition>, String> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let partitions: Vec<_> = partitions.keys().cloned().collect();
    let committed = questions.committed(&partitions, PATIENCE)?;
    Ok(committed.into_iter().filter(|committed| committed.offset.is_some()).map(|committed| committed.at).collect())
}

fn all_of(questions: &GroupQuestions, topics: &[Arc<str>]) -> Result<BTreeMap<TopicPartition, [u8; 16]>, String> {
    let ids = questions.topic_ids(&topics.iter().map(|topic| &**topic).collect(), PATIENCE)?;
    let mut all = BTreeMap::new();
    for topic in topics {
        let partitions = questions.topics(Some(topic), PATIENCE)?.get(topic).copied().unwrap_or(0);
        let id = ids.get(topic).copied().unwrap_or(UNKNOWN_TOPIC);
        all.extend((0..partitions).map(|partition| (TopicPartition { topic: topic.clone(), partition }, id)));
    }
    Ok(all)
}
