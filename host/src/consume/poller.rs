//! A plain thread that polls some groups. Guests never run on it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::group::Group;
use crate::broker::Wake;

/// How long the thread sleeps when it has no group: until somebody rings.
const NO_GROUP: Duration = Duration::from_secs(60);

/// A polling thread and its bell. Groups come to it one by one, and go by themselves once they have been left.
pub struct Poller {
    wake: Arc<Wake>,
    stopping: Arc<AtomicBool>,
    groups: Arc<AtomicUsize>,
    coming: mpsc::Sender<Group>,
    thread: JoinHandle<()>,
}

impl Poller {
    /// Starts the thread.
    ///
    /// # Panics
    /// Where the system has no thread left.
    fn start() -> Self {
        let (wake, stopping, groups): (Arc<Wake>, Arc<AtomicBool>, Arc<AtomicUsize>) = Default::default();
        let (coming, arrivals) = mpsc::channel();
        let (bell, stop, count) = (wake.clone(), stopping.clone(), groups.clone());
        let thread = thread::Builder::new()
            .name("consume".into())
            .spawn(move || run(&arrivals, &bell, &stop, &count))
            .expect("the system has a thread left");
        Self { wake, stopping, groups, coming, thread }
    }

    /// The bell that its groups are made with.
    pub fn wake(&self) -> &Arc<Wake> {
        &self.wake
    }

    fn groups(&self) -> usize {
        self.groups.load(Ordering::Relaxed)
    }

    /// Polls one more group, which was made with [`wake`](Self::wake).
    pub fn add(&self, group: Group) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        // Nobody takes it if the thread has panicked, which has been told.
        let _ = self.coming.send(group);
        self.wake.wake();
    }

    /// Begins to drain its groups; no more come.
    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake.wake();
    }

    /// Waits until its groups have been left.
    fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!(target: "callgate::consume", code = "run.host-failed", "a polling thread panicked");
        }
    }
}

/// The polling threads: at most so many, started when they are needed.
pub struct Pollers {
    most: usize,
    pollers: Vec<Poller>,
}

impl Pollers {
    /// None yet; at most `most`, at least one.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), pollers: Vec::new() }
    }

    /// The one with the fewest groups; a new one while there may be more.
    pub fn poller(&mut self) -> &Poller {
        if self.pollers.len() < self.most && self.pollers.iter().all(|poller| poller.groups() > 0) {
            self.pollers.push(Poller::start());
        }
        let fewest = self.pollers.iter().enumerate().min_by_key(|(_, poller)| poller.groups());
        &self.pollers[fewest.map_or(0, |(index, _)| index)]
    }

    /// Drains all groups, and waits until they have been left.
    pub fn drain(self) {
        self.pollers.iter().for_each(Poller::stop);
        self.pollers.into_iter().for_each(Poller::join);
    }
}

fn run(arrivals: &mpsc::Receiver<Group>, wake: &Wake, stopping: &AtomicBool, count: &AtomicUsize) {
    let mut groups = Vec::new();
    loop {
        let stop = stopping.load(Ordering::Acquire);
        groups.extend(arrivals.try_iter());
        if stop {
            groups.iter_mut().for_each(Group::stop);
        }
        let pause = groups.iter_mut().map(Group::step).min().unwrap_or(NO_GROUP);
        let before = groups.len();
        groups.retain(|group| !group.is_stopped());
        count.fetch_sub(before - groups.len(), Ordering::Relaxed);
        if stop && groups.is_empty() {
            return;
        }
        if !pause.is_zero() {
            wake.sleep(pause);
        }
    }
}
