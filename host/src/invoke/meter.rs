//! The time of one call: what it may take, what it has taken, and the future that ends it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use callgate_core::limits::CallLimits;
use futures::task::AtomicWaker;
use rustix::time::{ClockId, clock_gettime};
use wasmtime::UpdateDeadline;

use super::turns::Turns;
use super::watchdog::{Alarm, Watch};

/// Which of its times a call has used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Overrun {
    #[error("the deadline has passed")]
    Deadline,
    #[error("the CPU time is used up")]
    Cpu,
}

/// The clocks of one call.
///
/// The deadline is looked at in three places: by the guest's ticks while it computes, by the watchdog while it waits,
/// and whenever its turn comes. CPU time is the worker thread's own clock, read from a call's first tick on: reading
/// it costs a system call, and most calls end before. So up to two ticks of a call are not counted.
pub(super) struct Meter {
    deadline: Instant,
    max_cpu: Duration,
    turns: Arc<Turns>,
    expired: AtomicBool,
    waker: AtomicWaker,
    // Nanoseconds of the thread's clock. Read and written by the call's own worker only; atomic since the store that
    // shares them wants `Sync`.
    long: AtomicBool,
    used: AtomicU64,
    resumed: AtomicU64,
}

impl Meter {
    /// Starts the clocks of a call that takes turns with the others of its worker.
    pub(super) fn start(limits: &CallLimits, turns: Arc<Turns>) -> Self {
        Self {
            deadline: Instant::now() + limits.deadline,
            max_cpu: limits.max_cpu,
            turns,
            expired: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            long: AtomicBool::new(false),
            used: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
        }
    }

    /// The deadline has passed: the watchdog says so, from its own thread.
    pub(super) fn expire(&self) {
        self.expired.store(true, Relaxed);
        self.waker.wake();
    }

    /// The call can go on.
    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    /// The guest has computed for another tick: it ends here, or gives way until it is its turn again.
    pub(super) fn tick(self: &Arc<Self>) -> Result<UpdateDeadline, Overrun> {
        if Instant::now() >= self.deadline {
            return Err(Overrun::Deadline);
        }
        let now = thread_cpu_time();
        if !self.long.load(Relaxed) {
            self.long.store(true, Relaxed);
            self.resumed.store(now, Relaxed);
        }
        if Duration::from_nanos(self.used.load(Relaxed) + now - self.resumed.load(Relaxed)) >= self.max_cpu {
            return Err(Overrun::Cpu);
        }
        self.turns.queue(self.clone());
        let call = self.clone();
        let turn = poll_fn(move |_| if call.turns.has(&call) { Poll::Ready(()) } else { Poll::Pending });
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(turn)))
    }

    fn resume(&self) -> Result<(), Overrun> {
        if self.expired.load(Relaxed) {
            return Err(Overrun::Deadline);
        }
        if self.long.load(Relaxed) {
            self.resumed.store(thread_cpu_time(), Relaxed);
        }
        Ok(())
    }

    fn suspend(self: &Arc<Self>, waker: &Waker, had_turn: bool) {
        self.waker.register(waker);
        if self.long.load(Relaxed) {
            let slice = thread_cpu_time() - self.resumed.load(Relaxed);
            self.used.store(self.used.load(Relaxed) + slice, Relaxed);
            self.turns.pass(had_turn, self);
        }
    }
}

fn thread_cpu_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).map_or(0, |time| time.as_nanos() as u64)
}

/// A call that ends when its time is used up.
pub(super) struct Metered<'a, F> {
    call: Pin<&'a mut F>,
    meter: Arc<Meter>,
    watch: &'a Watch,
    // Set when the call first waits: most never do, and pay nothing for it.
    alarm: Option<Alarm<'a>>,
}

impl<'a, F: Future> Metered<'a, F> {
    pub(super) fn new(call: Pin<&'a mut F>, meter: Arc<Meter>, watch: &'a Watch) -> Self {
        Self { call, meter, watch, alarm: None }
    }
}

impl<F: Future> Future for Metered<'_, F> {
    type Output = Result<F::Output, Overrun>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Err(overrun) = this.meter.resume() {
            return Poll::Ready(Err(overrun));
        }
        let had_turn = this.meter.long.load(Relaxed) && this.meter.turns.has(&this.meter);
        if let Poll::Ready(output) = this.call.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        this.meter.suspend(cx.waker(), had_turn);
        if this.alarm.is_none() {
            this.alarm = Some(this.watch.set_alarm(this.meter.deadline, this.meter.clone()));
        }
        Poll::Pending
    }
}

impl<F> Drop for Metered<'_, F> {
    fn drop(&mut self) {
        if self.meter.long.load(Relaxed) {
            self.meter.turns.leave(&self.meter);
        }
    }
}
