//! What changes at the broker without a rebalance: topics that appear or go, where patterns want them, and topics that
//! were deleted and made again under a consumer.
//!
//! Patterns are not the client's own: they would be another regex dialect, and would know neither the tenant's topics nor
//! which ones never match. And the client does not notice a topic that was made again if its new end is higher: what it
//! skips would be lost in silence.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use super::Intake;
use crate::broker::{GroupQuestions, Wake};

const EVERY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(5);

/// What has changed.
pub(super) enum Change {
    /// These are the topics that the patterns want now.
    Topics(Vec<Arc<str>>),
    /// These are the ids of the consumed topics now.
    Ids(BTreeMap<Arc<str>, [u8; 16]>),
}

/// Looks now and then, on a thread of its own that ends with the group's client.
pub(super) struct TopicWatch {
    consumed: Arc<Mutex<Vec<Arc<str>>>>,
    changes: mpsc::Receiver<Change>,
}

impl TopicWatch {
    pub(super) fn start(
        questions: GroupQuestions,
        has_patterns: bool,
        intake: Arc<dyn Intake>,
        wake: Arc<Wake>,
    ) -> Self {
        let (send, changes) = mpsc::channel();
        let consumed: Arc<Mutex<Vec<Arc<str>>>> = Arc::default();
        let topics = consumed.clone();
        thread::spawn(move || {
            let (mut last_topics, mut last_ids) = (None, None);
            while !questions.is_closed() {
                if has_patterns {
                    tell(wanted(&questions, &*intake), &mut last_topics, Change::Topics, &send, &wake);
                }
                tell(ids(&questions, &topics), &mut last_ids, Change::Ids, &send, &wake);
                thread::sleep(EVERY);
            }
        });
        Self { consumed, changes }
    }

    /// Whose ids are to be looked at from now on.
    pub(super) fn consume(&self, topics: Vec<Arc<str>>) {
        *self.consumed.lock().unwrap_or_else(PoisonError::into_inner) = topics;
    }

    /// The next change, if there is one.
    pub(super) fn poll(&self) -> Option<Change> {
        self.changes.try_recv().ok()
    }
}

fn wanted(questions: &GroupQuestions, intake: &dyn Intake) -> Result<Vec<Arc<str>>, String> {
    Ok(questions.topics(None, PATIENCE)?.into_keys().filter(|topic| intake.routes(topic)).collect())
}

fn ids(questions: &GroupQuestions, topics: &Mutex<Vec<Arc<str>>>) -> Result<BTreeMap<Arc<str>, [u8; 16]>, String> {
    let topics = topics.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    questions.topic_ids(&topics.iter().map(|topic| &**topic).collect(), PATIENCE)
}

/// Tells what differs from the last time.
fn tell<T: Clone + PartialEq>(
    found: Result<T, String>,
    last: &mut Option<T>,
    change: impl FnOnce(T) -> Change,
    send: &mpsc::Sender<Change>,
    wake: &Wake,
) {
    match found {
        Ok(found) if last.as_ref() == Some(&found) => {}
        Ok(found) => {
            *last = Some(found.clone());
            // Nobody listens any more while the group is being left.
            let _ = send.send(change(found));
            wake.wake();
        }
        Err(error) => tracing::debug!(target: "callgate::consume", error, "cannot look at the topics"),
    }
}
