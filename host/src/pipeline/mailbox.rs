//! What reaches a worker from outside while it takes turns or sleeps: lanes handed to it, and tasks that can go on.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use futures::task::AtomicWaker;

/// The mailbox of one worker; `J` is what it is handed.
pub(super) struct Mailbox<J> {
    mail: Mutex<Mail<J>>,
    has_mail: AtomicBool,
    asleep: AtomicBool,
    owner: AtomicWaker,
}

/// What has come.
pub(super) struct Mail<J> {
    /// Tasks that have been woken.
    pub(super) woken: Vec<usize>,
    /// What was handed over.
    pub(super) handed: Vec<J>,
}

impl<J> Default for Mail<J> {
    fn default() -> Self {
        Self { woken: Vec::new(), handed: Vec::new() }
    }
}

impl<J> Default for Mailbox<J> {
    fn default() -> Self {
        Self {
            mail: Mutex::default(),
            has_mail: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            owner: AtomicWaker::new(),
        }
    }
}

impl<J> Mailbox<J> {
    fn put(&self, put: impl FnOnce(&mut Mail<J>)) {
        put(&mut self.mail.lock().unwrap_or_else(PoisonError::into_inner));
        // Either the owner sees this before it sleeps, or this sees that it sleeps: both sides write first and read
        // then, in one total order.
        self.has_mail.store(true, SeqCst);
        if self.asleep.load(SeqCst) {
            self.owner.wake();
        }
    }

    /// Hands something over.
    pub(super) fn hand(&self, job: J) {
        self.put(|mail| mail.handed.push(job));
    }

    /// Wakes the owner, if it sleeps, to look around.
    pub(super) fn nudge(&self) {
        self.put(|_| {});
    }

    /// Takes what has come into `mail`, which is empty.
    pub(super) fn collect(&self, mail: &mut Mail<J>) {
        if self.has_mail.load(SeqCst) {
            self.has_mail.store(false, SeqCst);
            std::mem::swap(mail, &mut self.mail.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// The owner is awake, and is to be woken by this when it has gone to sleep.
    pub(super) fn wake_up(&self, waker: &Waker) {
        self.asleep.store(false, SeqCst);
        self.owner.register(waker);
    }

    /// The owner goes to sleep, unless there is mail. Returns whether it may.
    pub(super) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, SeqCst);
        let may_sleep = !self.has_mail.load(SeqCst);
        if !may_sleep {
            self.asleep.store(false, SeqCst);
        }
        may_sleep
    }
}

/// The bell of one task: rung, it is in its worker's mail, once.
pub(super) struct Bell<J> {
    task: usize,
    rung: AtomicBool,
    mailbox: Arc<Mailbox<J>>,
}

impl<J> Bell<J> {
    pub(super) fn new(task: usize, mailbox: Arc<Mailbox<J>>) -> Self {
        Self { task, rung: AtomicBool::new(false), mailbox }
    }

    /// The mail has been looked at: from now on, the bell can be rung again.
    pub(super) fn answer(&self) {
        self.rung.store(false, SeqCst);
    }
}

impl<J: Send> Wake for Bell<J> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, SeqCst) {
            self.mailbox.put(|mail| mail.woken.push(self.task));
        }
    }
}
