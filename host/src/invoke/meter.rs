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
    has_thread: bool,
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
            has_thread: false,
        }
    }

    /// The same for a call that has its thread for itself: while it computes, whatever time the thread does not get it waits for
    /// others on the machine.
    pub(super) fn start_on_its_thread(limits: &CallLimits, waits: Arc<Waits>) -> Self {
        Self { has_thread: true, ..Self::start(limits, waits) }
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

    /// The watchdog says, from its own thread, that the time it was told has come.
    pub(super) fn expire(&self) {
        self.expired.store(true, Relaxed);
        self.waker.wake();
    }

    /// The guest has computed for another tick: it ends here, or gives way until it is its turn again.
    pub(super) fn tick(&self) -> Result<UpdateDeadline, Overrun> {
        let now = thread_cpu_time();
        if !self.long.load(Relaxed) {
            self.long.store(true, Relaxed);
            self.resumed.store(now, Relaxed);
        }
        let used = Duration::from_nanos(self.used.load(Relaxed) + now - self.resumed.load(Relaxed));
        if self.has_thread {
            self.waits.set(self.waited_before + self.began.elapsed().saturating_sub(used));
        }
        if Instant::now() >= self.end() {
            return Err(self.overrun());
        }
        if used >= self.max_cpu {
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
        Ok(expired)
    }

    fn suspend(&self, waker: &Waker) {
        self.waker.register(waker);
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
    use std::thread;

    use super::super::tests::LIMITS;
    use super::*;

    const DEADLINE: Duration = Duration::from_millis(20);
    const HOUR: Duration = Duration::from_secs(3600);

    fn started(patience: Duration) -> Meter {
        Meter::start_on_its_thread(&CallLimits { deadline: DEADLINE, patience, ..LIMITS }, Arc::default())
    }

    #[test]
    fn one_that_the_machine_lets_compute_too_little_has_waited() {
        let meter = started(HOUR);
        meter.tick().expect("it has time");
        thread::sleep(2 * DEADLINE);
        meter.tick().expect("it has computed nothing yet");
        let impatient = started(Duration::ZERO);
        thread::sleep(2 * DEADLINE);
        assert!(matches!(impatient.tick(), Err(Overrun::Waited(_))));
    }

    #[test]
    fn one_that_waits_by_itself_has_not() {
        let meter = started(HOUR);
        meter.tick().expect("it has time");
        meter.suspend(Waker::noop());
        thread::sleep(2 * DEADLINE);
        meter.expire();
        assert_eq!(meter.resume(), Err(Overrun::Deadline));
    }

    #[test]
    fn one_that_computes_has_not() {
        let meter = started(HOUR);
        meter.tick().expect("it has time");
        let began = thread_cpu_time();
        while Duration::from_nanos(thread_cpu_time() - began) < DEADLINE {}
        assert!(matches!(meter.tick(), Err(Overrun::Deadline)));
    }
}
