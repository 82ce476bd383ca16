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
    own_thread: Option<OwnThread>,
}

/// What a call that has its thread for itself is not given of it by the machine: the time that passes while it computes, and
/// between giving way and going on, without what the thread's clock says. Nanoseconds, of the call's time.
#[derive(Default)]
struct OwnThread {
    lost: AtomicU64,
    went_on: AtomicU64,
    gave_way: AtomicU64,
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
            own_thread: None,
        }
    }

    /// The same for a call that has its thread for itself: while it computes, whatever time the thread does not get it waits for
    /// others on the machine.
    pub(super) fn start_on_its_thread(limits: &CallLimits, waits: Arc<Waits>) -> Self {
        let meter = Self { own_thread: Some(OwnThread::default()), ..Self::start(limits, waits) };
        meter.long.store(true, Relaxed);
        meter.resumed.store(thread_cpu_time(), Relaxed);
        meter
    }

    fn passed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// It gives way, having computed for so many nanoseconds.
    fn gives_way(&self, computed: u64) {
        let Some(thread) = &self.own_thread else { return };
        let now = self.passed();
        self.lose(thread, (now - thread.went_on.load(Relaxed)).saturating_sub(computed));
        thread.gave_way.store(now, Relaxed);
    }

    /// It goes on: after it gave way, that was for others to allow; after it waited, for itself.
    fn goes_on(&self) {
        let Some(thread) = &self.own_thread else { return };
        let now = self.passed();
        match thread.gave_way.swap(0, Relaxed) {
            0 => {}
            gave_way => self.lose(thread, now - gave_way),
        }
        thread.went_on.store(now, Relaxed);
    }

    fn lose(&self, thread: &OwnThread, nanoseconds: u64) {
        let lost = thread.lost.load(Relaxed) + nanoseconds;
        thread.lost.store(lost, Relaxed);
        self.waits.set(self.waited_before + Duration::from_nanos(lost));
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
        let slice = now - self.resumed.load(Relaxed);
        let used = Duration::from_nanos(self.used.load(Relaxed) + slice);
        self.gives_way(slice);
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
        self.goes_on();
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
        thread::sleep(2 * DEADLINE);
        meter.tick().expect("it has computed nothing yet");
        meter.suspend(Waker::noop());
        thread::sleep(2 * DEADLINE);
        meter.resume().expect("it was not let go on");
        let impatient = started(Duration::ZERO);
        thread::sleep(2 * DEADLINE);
        assert!(matches!(impatient.tick(), Err(Overrun::Waited(_))));
    }

    #[test]
    fn one_that_waits_by_itself_has_not() {
        let meter = started(HOUR);
        meter.resume().expect("it has time");
        meter.suspend(Waker::noop());
        thread::sleep(2 * DEADLINE);
        meter.expire();
        assert_eq!(meter.resume(), Err(Overrun::Deadline));
        assert!(matches!(meter.tick(), Err(Overrun::Deadline)), "not even if it computes now and then");
    }

    #[test]
    fn one_that_computes_has_not() {
        let meter = started(HOUR);
        let began = thread_cpu_time();
        while Duration::from_nanos(thread_cpu_time() - began) < DEADLINE {}
        assert!(matches!(meter.tick(), Err(Overrun::Deadline)));
    }
}
