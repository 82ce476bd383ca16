//! The tasks of one worker, and whose turn it is among them.
//!
//! A task is a lane that is being emptied: it computes, it waits, it goes on. Whenever it can go on it waits in the
//! queue for a turn of its tenant's, and the [`FairQueue`] says whose turn is next, by what each has really had. So it
//! matters neither how many lanes a tenant has nor how long its calls compute: a guest gives way at the watchdog's tick,
//! and is then behind whoever has had less.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use callgate_core::fair::{FairQueue, Place, TenantId, Weight};
use futures::future::LocalBoxFuture;
use rustix::time::{ClockId, clock_gettime};
use slab::Slab;

use super::mailbox::{Bell, Mail, Mailbox};
use crate::invoke::Waits;

/// A task whose turn took longer is *long*, until one takes less. Far more than the call of a handler that does not
/// compute for long, and less than a tick of the watchdog.
const LONG: Duration = Duration::from_micros(500);

/// A turn so long may have been interrupted by other threads of the machine, so it is measured by the thread's own
/// clock. Reading that is a system call; below, the difference is not worth it.
const WORTH_MEASURING: Duration = Duration::from_micros(200);

/// A tenant as it competes for the workers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) tenant: TenantId,
    pub(super) weight: Weight,
}

/// What the task that runs now may know of its turns.
#[derive(Debug)]
pub(super) struct Standing {
    /// When this turn began.
    pub(super) turn_began: Cell<Instant>,
    /// What its turns before this one took.
    pub(super) used: Cell<Duration>,
    /// Whether somebody else on this worker waits for a turn.
    pub(super) is_contended: Cell<bool>,
}

/// What a turn came to.
pub(super) enum Turn<T> {
    /// A task has had its turn.
    Taken(Option<T>),
    /// It is the turn of a tenant who was [invited](Executor::invite): a task of its own can begin.
    Begin(TenantId),
    /// Nobody waits for a turn.
    None,
}

/// See the module. A task ends with a `T`; `J` is what the mailbox hands over.
pub(super) struct Executor<T, J> {
    queue: FairQueue<Entry>,
    tasks: Slab<Task<T, J>>,
    mailbox: Arc<Mailbox<J>>,
    waits: Arc<Waits>,
    standing: Rc<Standing>,
    // The end of the latest turn, or of a sleep.
    now: Instant,
    cpu_time: Duration,
    entries: u64,
}

enum Entry {
    /// A task, and the number of the entry: only its latest one counts.
    Task(usize, u64),
    Invitation,
}

struct Task<T, J> {
    share: Share,
    future: LocalBoxFuture<'static, T>,
    bell: Arc<Bell<J>>,
    waker: Waker,
    is_long: bool,
    waited: Duration,
    used: Duration,
    queued: Option<Queued>,
}

/// Since when a task waits for its turn.
struct Queued {
    entry: u64,
    since: Instant,
    // What its tenant had had by then, in nanoseconds: it does not wait for others while its own are served.
    spent: u64,
}

impl<T, J: Send + 'static> Executor<T, J> {
    /// No tasks yet. `waits` is told, before each turn, for how long others have kept that task waiting.
    pub(super) fn new(mailbox: Arc<Mailbox<J>>, waits: Arc<Waits>) -> Self {
        let now = Instant::now();
        Self {
            queue: FairQueue::new(),
            tasks: Slab::new(),
            mailbox,
            waits,
            standing: Rc::new(Standing {
                turn_began: Cell::new(now),
                used: Cell::default(),
                is_contended: Cell::default(),
            }),
            now,
            cpu_time: Duration::ZERO,
            entries: 0,
        }
    }

    /// What the task that runs now may know.
    pub(super) fn standing(&self) -> &Rc<Standing> {
        &self.standing
    }

    /// When the latest turn ended.
    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// The worker was away.
    pub(super) fn come_back(&mut self) {
        self.now = Instant::now();
    }

    /// Begins a task; it waits for its first turn.
    pub(super) fn spawn(&mut self, share: Share, future: LocalBoxFuture<'static, T>) {
        let vacant = self.tasks.vacant_entry();
        let bell = Arc::new(Bell::new(vacant.key(), self.mailbox.clone()));
        let (key, waker) = (vacant.key(), Waker::from(bell.clone()));
        vacant.insert(Task {
            share,
            future,
            bell,
            waker,
            is_long: false,
            waited: Duration::ZERO,
            used: Duration::ZERO,
            queued: None,
        });
        self.enqueue(key);
    }

    /// A tenant has something to begin: it is told when its turn is. To be called once until then.
    pub(super) fn invite(&mut self, share: Share) {
        self.queue.push(share.tenant, share.weight, Place::Short, Entry::Invitation);
    }

    /// Lets the tasks that were woken wait for their turns.
    pub(super) fn wake(&mut self, mail: &mut Mail<J>) {
        for key in mail.woken.drain(..) {
            // One that has ended may still be rung, and so may another one in its place: that does no harm.
            if let Some(task) = self.tasks.get(key) {
                task.bell.answer();
                self.enqueue(key);
            }
        }
    }

    fn enqueue(&mut self, key: usize) {
        let Some(task) = self.tasks.get_mut(key) else { return };
        let Share { tenant, weight } = task.share;
        self.entries += 1;
        let place = match &mut task.queued {
            // Woken while it waits for a turn: its time is up, or its partition has gone. That takes no time.
            Some(queued) => {
                queued.entry = self.entries;
                Place::Front
            }
            none => {
                *none = Some(Queued { entry: self.entries, since: self.now, spent: self.queue.spent(tenant) });
                if task.is_long { Place::Long } else { Place::Short }
            }
        };
        self.queue.push(tenant, weight, place, Entry::Task(key, self.entries));
    }

    /// Lets whoever is next have a turn.
    pub(super) fn turn(&mut self) -> Turn<T> {
        loop {
            let (tenant, key) = match self.queue.pop() {
                None => return Turn::None,
                Some((tenant, Entry::Invitation)) => return Turn::Begin(tenant),
                Some((tenant, Entry::Task(key, entry))) => {
                    let queued = self.tasks.get_mut(key).and_then(|task| task.queued.take_if(|it| it.entry == entry));
                    let Some(Queued { since, spent, .. }) = queued else { continue };
                    let own = Duration::from_nanos(self.queue.spent(tenant) - spent);
                    self.tasks[key].waited += self.now.saturating_duration_since(since).saturating_sub(own);
                    (tenant, key)
                }
            };
            let task = &mut self.tasks[key];
            self.waits.set(task.waited);
            self.standing.turn_began.set(self.now);
            self.standing.used.set(task.used);
            self.standing.is_contended.set(!self.queue.is_empty());
            let polled = task.future.as_mut().poll(&mut Context::from_waker(&task.waker));
            let took = measure(&mut self.now, &mut self.cpu_time);
            self.queue.charge(tenant, took.as_nanos() as u64);
            task.is_long = took >= LONG;
            task.used += took;
            return Turn::Taken(match polled {
                Poll::Ready(result) => {
                    self.tasks.remove(key);
                    Some(result)
                }
                Poll::Pending => None,
            });
        }
    }
}

/// CPU time since `now`, which becomes now. `cpu_time` is the thread's, as it was last read.
fn measure(now: &mut Instant, cpu_time: &mut Duration) -> Duration {
    let began = std::mem::replace(now, Instant::now());
    let took = *now - began;
    if took < WORTH_MEASURING {
        return took;
    }
    let read = Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    took.min(read.saturating_sub(std::mem::replace(cpu_time, read)))
}

/// Lets others have their turn.
pub(super) async fn give_way() {
    let mut given_way = false;
    poll_fn(|context| {
        if std::mem::replace(&mut given_way, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests;
