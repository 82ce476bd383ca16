//! The time of one call: what it may take, what it has taken, and the future that ends it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use callgate_core::limits::CallLimits;
use futures::task::AtomicWaker;
use rustix::time::{ClockId, clock_gettime};
use wasmtime::UpdateDeadline;

use super::waits::Waits;
use super::watchdog::{Alarm, Watch};

/// Which of its times a call has used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Overrun {
    #[error("the deadline has passed")]
    Deadline,
    #[error("the CPU time is used up")]
    Cpu,
    /// The deadline has passed, and for most of it others had the worker.
    #[error("the deadline has passed while it waited for its turn")]
    Waited(Duration),
}

/// The clocks of one call.
///
/// The deadline is looked at in three places: by the guest's ticks while it computes, by the watchdog while it waits,
/// and whenever its turn comes. CPU time is the worker thread's own clock, read from a call's first tick on: reading
/// it costs a system call, and most calls end before. So up to two ticks of a call are not counted.
pub(super) struct Meter {
    began: Instant,
    deadline: Duration,
    patience: Duration,
    max_cpu: Duration,
    waits: Arc<Waits>,
    waited_before: Duration,
    expired: AtomicBool,
    waker: AtomicWaker,
    // Nanoseconds of the thread's clock. Read and written by the call's own worker only; atomic since the store that
    // shares them wants `Sync`.
    long: AtomicBool,
    used: AtomicU64,
    resumed: AtomicU64,
    // Since it was interrupted, it could have gone on.
    ready: AtomicBool,
}

impl Meter {
    /// Starts the clocks of a call.
    pub(super) fn start(limits: &CallLimits, waits: Arc<Waits>) -> Self {
        Self {
            began: Instant::now(),
            deadline: limits.deadline,
            patience: limits.patience,
            max_cpu: limits.max_cpu,
            waited_before: waits.get(),
            waits,
            expired: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            long: AtomicBool::new(false),
            used: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
            ready: AtomicBool::new(false),
        }
    }

    /// How long others have kept it waiting.
    fn waited(&self) -> Duration {
        self.waits.get().saturating_sub(self.waited_before)
    }

    /// When it must have ended, as things are.
    fn end(&self) -> Instant {
        self.began + self.deadline + self.waited().min(self.patience)
    }

    /// Whose fault it is that the call has not ended in time: its own, unless others had the worker for more than half
    /// of it.
    fn overrun(&self) -> Overrun {
        let waited = self.waited();
        let had = self.began.elapsed().saturating_sub(waited);
        if had < self.deadline / 2 { Overrun::Waited(waited) } else { Overrun::Deadline }
    }

    /// Whether a call that has ended late had computed for less than half of its deadline, and would have gone on had the machine let
    /// it: that says nothing about the call.
    pub(super) fn was_starved(&self) -> bool {
        self.ready.load(Relaxed) && Duration::from_nanos(self.used.load(Relaxed)) < self.deadline / 2
    }

    /// The watchdog says, from its own thread, that the time it was told has come.
    pub(super) fn expire(&self) {
        self.expired.store(true, Relaxed);
        self.waker.wake();
    }

    /// The guest has computed for another tick: it ends here, or gives way until it is its turn again.
    pub(super) fn tick(&self) -> Result<UpdateDeadline, Overrun> {
        self.ready.store(true, Relaxed);
        if Instant::now() >= self.end() {
            self.count_slice();
            return Err(self.overrun());
        }
        let now = thread_cpu_time();
        if !self.long.load(Relaxed) {
            self.long.store(true, Relaxed);
            self.resumed.store(now, Relaxed);
        }
        if Duration::from_nanos(self.used.load(Relaxed) + now - self.resumed.load(Relaxed)) >= self.max_cpu {
            return Err(Overrun::Cpu);
        }
        Ok(UpdateDeadline::Yield(1))
    }

    /// The call goes on. Says whether the watchdog has rung too early.
    fn resume(&self) -> Result<bool, Overrun> {
        let expired = self.expired.load(Relaxed);
        if expired {
            if Instant::now() >= self.end() {
                return Err(self.overrun());
            }
            self.expired.store(false, Relaxed);
        }
        if self.long.load(Relaxed) {
            self.resumed.store(thread_cpu_time(), Relaxed);
        }
        self.ready.store(false, Relaxed);
        Ok(expired)
    }

    fn suspend(&self, waker: &Waker) {
        self.waker.register(waker);
        self.count_slice();
    }

    /// What it has computed since it went on counts, from its first tick on.
    fn count_slice(&self) {
        if self.long.load(Relaxed) {
            let slice = thread_cpu_time() - self.resumed.load(Relaxed);
            self.used.store(self.used.load(Relaxed) + slice, Relaxed);
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
        match this.meter.resume() {
            Ok(false) => {}
            // It rang too early: the call has waited for its turn since, and has the patience.
            Ok(true) => this.alarm = None,
            Err(overrun) => return Poll::Ready(Err(overrun)),
        }
        if let Poll::Ready(output) = this.call.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        this.meter.suspend(cx.waker());
        if this.alarm.is_none() {
            this.alarm = Some(this.watch.set_alarm(this.meter.end(), this.meter.clone()));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::LIMITS;
    use super::*;

    const DEADLINE: Duration = Duration::from_millis(20);

    fn started() -> Meter {
        Meter::start(&CallLimits { deadline: DEADLINE, ..LIMITS }, Arc::default())
    }

    #[test]
    fn one_that_could_have_computed_and_was_not_let_was_starved() {
        let meter = started();
        meter.tick().expect("it has time");
        meter.suspend(Waker::noop());
        thread_sleep();
        meter.expire();
        assert_eq!(meter.resume(), Err(Overrun::Deadline));
        assert!(meter.was_starved());
    }

    #[test]
    fn one_that_waited_was_not_starved() {
        let meter = started();
        meter.tick().expect("it has time");
        meter.suspend(Waker::noop());
        meter.resume().expect("it has time");
        meter.suspend(Waker::noop());
        thread_sleep();
        meter.expire();
        assert_eq!(meter.resume(), Err(Overrun::Deadline));
        assert!(!meter.was_starved());
    }

    #[test]
    fn one_that_computed_was_not_starved() {
        let meter = started();
        meter.tick().expect("it has time");
        let began = thread_cpu_time();
        while thread_cpu_time() - began < DEADLINE.as_nanos() as u64 {}
        assert_eq!(meter.tick().err(), Some(Overrun::Deadline));
        assert!(!meter.was_starved());
    }

    fn thread_sleep() {
        std::thread::sleep(2 * DEADLINE);
    }
}
