//! Topics that are only known by a pattern: which there are is looked up now and then, and subscribed to by name.
//!
//! Not by the client's own patterns: they would be another regex dialect, and would know neither the tenant's topics
//! nor which ones never match.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use super::Intake;
use crate::broker::{GroupQuestions, Wake};

const EVERY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(5);

/// The topics found, whenever they have changed. Its thread ends with the group's client.
pub(super) struct TopicWatch {
    found: mpsc::Receiver<Vec<Arc<str>>>,
}

impl TopicWatch {
    pub(super) fn start(questions: GroupQuestions, intake: Arc<dyn Intake>, wake: Arc<Wake>) -> Self {
        let (send, found) = mpsc::channel();
        thread::spawn(move || {
            let mut last = None;
            while !questions.is_closed() {
                match questions.topics(None, PATIENCE) {
                    Ok(topics) => {
                        let topics: Vec<_> = topics.into_keys().filter(|topic| intake.routes(topic)).collect();
                        if last.as_ref() != Some(&topics) {
                            last = Some(topics.clone());
                            if send.send(topics).is_err() {
                                return;
                            }
                            wake.wake();
                        }
                    }
                    Err(error) => tracing::debug!(target: "callgate::consume", error, "cannot look for topics"),
                }
                thread::sleep(EVERY);
            }
        });
        Self { found }
    }

    /// The topics, if they have changed.
    pub(super) fn poll(&self) -> Option<Vec<Arc<str>>> {
        self.found.try_recv().ok()
    }
}
