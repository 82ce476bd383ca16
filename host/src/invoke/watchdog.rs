//! One thread for the whole process on which no guest runs: it ticks for those that compute, and wakes those that wait
//! when their deadline has come.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use wasmtime::Engine;

use super::HostError;
use super::meter::Meter;

/// How long a guest computes before it gives way.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Ticks without any call after which the watchdog sleeps until the next one: an idle host should not wake up a
/// thousand times a second.
const IDLE_TICKS: u32 = 200;

/// Ends guests that take too long. Clones share one thread, which ends with the last of them.
#[derive(Clone)]
pub struct Watchdog {
    leash: Arc<Leash>,
}

/// Stops the thread when it is dropped.
struct Leash {
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    watched: Mutex<Watched>,
    asleep: AtomicBool,
    stop: AtomicBool,
}

#[derive(Default)]
struct Watched {
    engines: Vec<(Engine, Arc<AtomicUsize>)>,
    alarms: BTreeMap<(Instant, u64), Arc<Meter>>,
    last_alarm: u64,
}

impl Watchdog {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses one.
    pub fn start() -> Result<Self, HostError> {
        let shared = Arc::new(Shared {
            watched: Mutex::default(),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let thread = thread::Builder::new()
            .name("watchdog".into())
            .spawn({
                let shared = shared.clone();
                move || shared.run()
            })
            .map_err(|error| HostError::new("the watchdog's thread cannot be started", error))?;
        Ok(Self { leash: Arc::new(Leash { shared, thread: thread.thread().clone() }) })
    }

    /// Watches the guests of one engine, until what is returned is dropped.
    pub(super) fn watch(&self, engine: &Engine) -> Watch {
        let calls = Arc::new(AtomicUsize::new(0));
        self.leash.shared.lock().engines.push((engine.clone(), calls.clone()));
        Watch { calls, leash: self.leash.clone() }
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        self.thread.unpark();
    }
}

/// The watched engines of one worker.
pub(super) struct Watch {
    calls: Arc<AtomicUsize>,
    leash: Arc<Leash>,
}

impl Watch {
    /// Watches the guests of another engine as well, on which the same calls go on.
    pub(super) fn engine(&self, engine: &Engine) {
        self.leash.shared.lock().engines.push((engine.clone(), self.calls.clone()));
    }

    /// A call begins; it ends when what is returned is dropped.
    pub(super) fn begin_call(&self) -> OngoingCall<'_> {
        // Either the watchdog sees this call before it goes to sleep, or this call sees that it has: both sides write
        // first and read then, in one total order.
        self.calls.fetch_add(1, SeqCst);
        if self.leash.shared.asleep.load(SeqCst) {
            self.leash.thread.unpark();
        }
        OngoingCall(self)
    }

    /// Has `meter` expire at the deadline, unless what is returned is dropped before.
    pub(super) fn set_alarm(&self, deadline: Instant, meter: Arc<Meter>) -> Alarm<'_> {
        let mut watched = self.leash.shared.lock();
        watched.last_alarm += 1;
        let key = (deadline, watched.last_alarm);
        watched.alarms.insert(key, meter);
        Alarm { shared: &self.leash.shared, key }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.leash.shared.lock().engines.retain(|(_, calls)| !Arc::ptr_eq(calls, &self.calls));
    }
}

/// While it lives, the watchdog ticks.
pub(super) struct OngoingCall<'a>(&'a Watch);

impl Drop for OngoingCall<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, SeqCst);
    }
}

/// A deadline that the watchdog keeps.
pub(super) struct Alarm<'a> {
    shared: &'a Shared,
    key: (Instant, u64),
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.shared.lock().alarms.remove(&self.key);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        // Nothing here panics half-way through a change.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut idle = 0;
        while !self.stop.load(SeqCst) {
            if idle < IDLE_TICKS {
                thread::sleep(TICK);
                idle = if self.tick() { 0 } else { idle + 1 };
                continue;
            }
            self.asleep.store(true, SeqCst);
            if !self.lock().busy() {
                thread::park();
            }
            self.asleep.store(false, SeqCst);
            idle = 0;
        }
    }

    /// Whether any call is going on.
    fn tick(&self) -> bool {
        let now = Instant::now();
        let mut due = Vec::new();
        let busy = {
            let mut watched = self.lock();
            for (engine, _) in &watched.engines {
                engine.increment_epoch();
            }
            while let Some(alarm) = watched.alarms.first_entry() {
                if alarm.key().0 > now {
                    break;
                }
                due.push(alarm.remove());
            }
            watched.busy()
        };
        for meter in due {
            meter.expire();
        }
        busy
    }
}

impl Watched {
    fn busy(&self) -> bool {
        self.engines.iter().any(|(_, calls)| calls.load(SeqCst) > 0)
    }
}
