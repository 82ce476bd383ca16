//! What changes at the broker without a rebalance: topics that appear or go, where patterns want them, topics that were
//! deleted and made again under a consumer, and where the partitions end.
//!
//! Patterns are not the client's own: they would be another regex dialect, and would know neither the tenant's topics nor
//! which ones never match. And the client does not notice a topic that was made again if its new end is higher: what it
//! skips would be lost in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::Intake;
use crate::broker::{Ends, GroupQuestions, TopicPartition, Wake};

const EVERY: Duration = Duration::from_secs(2);
/// Where partitions end is for people, who look less often.
const ENDS_EVERY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(5);

/// What has changed.
pub(super) enum Change {
    /// These are the topics that the patterns want now.
    Topics(Vec<Arc<str>>),
    /// These are the ids of the consumed topics now.
    Ids(BTreeMap<Arc<str>, [u8; 16]>),
    /// So far the consumed partitions go now.
    Ends(BTreeMap<TopicPartition, Ends>),
}

/// Looks now and then, on a thread of its own that ends with the group's client.
pub(super) struct TopicWatch {
    asked: Arc<Asked>,
    changes: mpsc::Receiver<Change>,
    thread: Thread,
}

/// What is looked at.
#[derive(Default)]
struct Asked {
    consumed: Mutex<Vec<TopicPartition>>,
    // They are others now: where they end is not known.
    others: AtomicBool,
    has_patterns: AtomicBool,
    // What the patterns want may be another thing now: what was told last counts for nothing.
    anew: AtomicBool,
}

impl Asked {
    fn consumed(&self) -> Vec<TopicPartition> {
        self.consumed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl TopicWatch {
    pub(super) fn start(
        questions: GroupQuestions,
        has_patterns: bool,
        intake: Arc<dyn Intake>,
        wake: Arc<Wake>,
    ) -> Self {
        let (send, changes) = mpsc::channel();
        let asked = Arc::new(Asked { has_patterns: AtomicBool::new(has_patterns), ..Asked::default() });
        let look = asked.clone();
        let thread = thread::spawn(move || {
            let (mut last_topics, mut last_ids) = (None, None);
            let mut ends_due = Instant::now();
            while !questions.is_closed() {
                if look.anew.swap(false, Ordering::AcqRel) {
                    last_topics = None;
                }
                if look.has_patterns.load(Ordering::Acquire) {
                    tell(wanted(&questions, &*intake), &mut last_topics, Change::Topics, &send, &wake);
                }
                let consumed = look.consumed();
                tell(ids(&questions, &consumed), &mut last_ids, Change::Ids, &send, &wake);
                if look.others.swap(false, Ordering::AcqRel) || Instant::now() >= ends_due {
                    ends_due = Instant::now() + ENDS_EVERY;
                    tell(questions.ends(&consumed, PATIENCE), &mut None, Change::Ends, &send, &wake);
                }
                thread::park_timeout(EVERY);
            }
        });
        Self { asked, changes, thread: thread.thread().clone() }
    }

    /// Looks at once: which topics the patterns want may have changed, and whether there are patterns at all.
    pub(super) fn look_again(&self, has_patterns: bool) {
        self.asked.has_patterns.store(has_patterns, Ordering::Release);
        self.asked.anew.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// What is consumed from now on: topics whose ids, partitions whose ends are to be looked at.
    pub(super) fn consume(&self, partitions: Vec<TopicPartition>) {
        *self.asked.consumed.lock().unwrap_or_else(PoisonError::into_inner) = partitions;
        self.asked.others.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// The next change, if there is one.
    pub(super) fn poll(&self) -> Option<Change> {
        self.changes.try_recv().ok()
    }
}

fn wanted(questions: &GroupQuestions, intake: &dyn Intake) -> Result<Vec<Arc<str>>, String> {
    Ok(questions.topics(None, PATIENCE)?.into_keys().filter(|topic| intake.routes(topic)).collect())
}

fn ids(questions: &GroupQuestions, consumed: &[TopicPartition]) -> Result<BTreeMap<Arc<str>, [u8; 16]>, String> {
    let topics: BTreeSet<&str> = consumed.iter().map(|at| &*at.topic).collect();
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    questions.topic_ids(&topics, PATIENCE)
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
