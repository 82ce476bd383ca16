//! Where an assigned partition begins: at what the group has committed, or, where it has committed nothing, by rule.
//!
//! The questions wait for the broker, so each rebalance asks them on a thread of its own.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use callgate_core::metadata::{Metadata, UNKNOWN_TOPIC};

use super::Intake;
use super::first_start::FirstStarts;
use crate::broker::{GroupConsumer, GroupQuestions, TopicPartition, Wake};
use crate::planted;

pub(super) const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);

/// A partition that can be taken up.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) at: TopicPartition,
    pub(super) position: i64,
    /// As the broker gave it, or zeros.
    pub(super) topic_id: [u8; 16],
    pub(super) metadata: Option<Metadata>,
    /// The group's offset is one of a topic that was deleted and made again since: it says nothing about this one.
    pub(super) recreated: bool,
    /// The group had no offset here: its first position is to be committed at once.
    pub(super) first: bool,
}

/// Questions on their way; dropping it gives them up.
pub(super) struct Opening {
    given_up: Arc<AtomicBool>,
    answer: mpsc::Receiver<Vec<Opened>>,
}

impl Opening {
    pub(super) fn begin(
        consumer: &GroupConsumer,
        partitions: Vec<TopicPartition>,
        topics: Vec<Arc<str>>,
        first_starts: Arc<FirstStarts>,
        intake: Arc<dyn Intake>,
        wake: Arc<Wake>,
    ) -> Self {
        let (send, answer) = mpsc::channel();
        let given_up = Arc::new(AtomicBool::new(false));
        let (flag, questions) = (given_up.clone(), consumer.questions());
        thread::spawn(move || {
            while !flag.load(Ordering::Acquire) && !questions.is_closed() {
                match ask(&questions, &partitions, &topics, &first_starts, &*intake) {
                    Ok(opened) => {
                        // Nobody listens if the partitions went again meanwhile.
                        let _ = send.send(opened);
                        return wake.wake();
                    }
                    Err(error) => {
                        tracing::warn!(
                            target: "callgate::consume", code = "run.rebalance-failed", error,
                            "cannot take up the assigned partitions yet; trying again"
                        );
                        thread::sleep(PAUSE);
                    }
                }
            }
        });
        Self { given_up, answer }
    }

    /// The answer, once it is there.
    pub(super) fn poll(&self) -> Option<Vec<Opened>> {
        self.answer.try_recv().ok()
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Release);
    }
}

fn ask(
    questions: &GroupQuestions,
    partitions: &[TopicPartition],
    topics: &[Arc<str>],
    first_starts: &FirstStarts,
    intake: &dyn Intake,
) -> Result<Vec<Opened>, String> {
    first_starts.learn(questions, topics)?;
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let topics: BTreeSet<&Arc<str>> = partitions.iter().map(|at| &at.topic).collect();
    let ids = questions.topic_ids(&topics.iter().map(|topic| &***topic).collect(), PATIENCE)?;
    for topic in topics {
        let count = questions.topics(Some(topic), PATIENCE)?.get(topic).copied();
        if let (Some(at), Some(count)) = (partitions.iter().find(|at| at.topic == *topic), count) {
            intake.opened(at, count);
        }
    }
    questions
        .committed(partitions, PATIENCE)?
        .into_iter()
        .map(|committed| {
            let at = committed.at;
            let topic_id = ids.get(&at.topic).copied().unwrap_or(UNKNOWN_TOPIC);
            let Some(position) = committed.offset else {
                let (first, end) = questions.bounds(&at, PATIENCE)?;
                let position = if first_starts.is_at_end(&at, topic_id) { end } else { first };
                return Ok(Opened { at, position, topic_id, metadata: None, recreated: false, first: true });
            };
            let metadata = committed
                .metadata
                .filter(|text| !text.is_empty())
                .and_then(|text| Metadata::decode(text.as_bytes(), UNKNOWN_TOPIC, position));
            let metadata = metadata.filter(|_| !planted::fault("ignore-metadata"));
            let position = position + i64::from(planted::fault("skip-first"));
            let recreated = metadata.as_ref().is_some_and(|metadata| metadata.is_of_another_topic(topic_id));
            Ok(Opened { at, position, topic_id, metadata, recreated, first: false })
        })
        .collect()
}
