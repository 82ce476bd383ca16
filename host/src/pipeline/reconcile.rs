//! Keeps what runs equal to what lies in the deploy directory: one thread that looks, loads, and has the host follow.

mod outcomes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::assemble::{Assembler, Brokers};
use super::bound::Handler;
use super::host::Host;
use super::loader::{Load, Loaded, Loader};
use super::overview::{HandlerStatus, Overview, Refused};
use super::rollout::{HandlerName, Latest, Rollout, Version};
use crate::config::{Fault, Operator};
use crate::deploy::{self, Deployment, Look, Snapshot, Watch};
use crate::invoke::{self, Compiler};

/// Before a version is loaded again that the host could not load for want of something of its own.
const NOT_NOW: Duration = Duration::from_secs(5);

/// What happens to the reconciler.
pub(super) enum Event {
    /// The operator's file was read again, and is sound.
    Reload(Box<Operator>),
    /// A load has ended.
    Loaded { name: HandlerName, number: u64, outcome: Loaded },
    /// The first records of a version have all trapped.
    Failing { name: HandlerName, version: Arc<str> },
    /// The host is to drain.
    Stop,
}

/// What has changed in what runs, for whoever looks on.
#[derive(Debug)]
pub enum News<'a> {
    /// This version runs from now on.
    Runs(&'a Arc<Handler>),
    /// What lies in the deploy directory does not run.
    Refused(&'a HandlerName, &'a Refused),
    /// The handler is gone.
    Gone(&'a HandlerName),
}

/// Who looks on. Called on the reconciler's thread, before the change.
pub type Listener = Box<dyn Fn(&News<'_>) + Send>;

/// See the module.
pub struct Reconciler {
    events: mpsc::Sender<Event>,
    compiler: Arc<Compiler>,
    thread: JoinHandle<()>,
}

impl Reconciler {
    /// Starts the thread. It owns the host from here on.
    pub fn start(
        operator: Operator,
        compiler: Arc<Compiler>,
        brokers: Brokers,
        host: Host,
        overview: Arc<Overview>,
        listener: Listener,
    ) -> Self {
        let (events, inbox) = mpsc::channel();
        let (loads, queue) = mpsc::channel();
        let (sandbox, watchdog) = host.sandbox();
        overview.set_workers(host.pulses());
        let loader = Loader { compiler: compiler.clone(), sandbox, watchdog }.start(queue, events.clone());
        let operator = Arc::new(operator);
        let state = State {
            watch: Watch::new(operator.deploy.directory.clone(), verify),
            looked: Instant::now(),
            started: false,
            snapshot: None,
            faults: Vec::new(),
            assembler: Arc::new(Assembler::new(operator.clone(), compiler.clone(), host.network().clone(), brokers)),
            operator,
            reading: 0,
            host,
            rollout: Rollout::new(),
            known: BTreeMap::new(),
            loads,
            again: None,
            overview,
            listener,
        };
        let thread = thread::Builder::new()
            .name("deploy".into())
            .spawn(move || state.run(&inbox, loader))
            .expect("the system has a thread left");
        Self { events, compiler, thread }
    }

    /// Takes over the operator's file as it was read again. It also confirms what the deploy directory has lost, and
    /// takes partitions up again that were stopped for good.
    pub fn reload(&self, operator: Operator) {
        // Nobody listens any more while the host stops.
        let _ = self.events.send(Event::Reload(Box::new(operator)));
    }

    /// Drains the host, and waits for it.
    pub fn drain(self) {
        self.compiler.stop();
        // The thread is there until it has got this.
        let _ = self.events.send(Event::Stop);
        if self.thread.join().is_err() {
            tracing::error!(target: "callgate::deploy", code = "run.host-failed", "the deploy thread panicked");
        }
    }
}

/// What is known of a handler beside which version runs.
#[derive(Default)]
struct Known {
    // What was found last: a version of one reading of the operator's file, or faults.
    version: Option<(Arc<str>, u64)>,
    faults: Vec<Fault>,
    refused: Option<Refused>,
    // The host could not load it; it is tried again.
    again: bool,
    // The components of that version, and what goes with them: what is still being compiled of others then is given up.
    components: Vec<Arc<str>>,
    wanted: Arc<()>,
}

struct State {
    watch: Watch,
    looked: Instant,
    // Whether all that lay in the directory at the start has been seen.
    started: bool,
    snapshot: Option<Snapshot>,
    // Of the directory itself, as they were told last.
    faults: Vec<Fault>,
    operator: Arc<Operator>,
    // Counts the readings of the operator's file.
    reading: u64,
    assembler: Arc<Assembler>,
    host: Host,
    rollout: Rollout<Arc<Handler>>,
    known: BTreeMap<HandlerName, Known>,
    loads: mpsc::Sender<Load>,
    again: Option<Instant>,
    overview: Arc<Overview>,
    listener: Listener,
}

impl State {
    fn run(mut self, inbox: &mpsc::Receiver<Event>, loader: JoinHandle<()>) {
        self.look(Instant::now());
        loop {
            match inbox.recv_timeout(deploy::LOOK) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(event) => self.handle(event),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if now.duration_since(self.looked) >= deploy::LOOK {
                self.look(now);
            }
            self.host.go_on();
            self.overview.set_groups(self.host.groups(), self.host.refused_clients());
        }
        let Self { host, loads, known, .. } = self;
        // Ends the loader once it has done with what it is at: nothing else is wanted any more.
        drop((loads, known));
        host.drain();
        if loader.join().is_err() {
            tracing::error!(target: "callgate::deploy", code = "run.host-failed", "the loader's thread panicked");
        }
    }

    fn look(&mut self, now: Instant) {
        self.looked = now;
        match self.watch.look(now) {
            Look::Changed(snapshot) => {
                self.snapshot = Some(snapshot);
                self.read();
            }
            Look::Missing(fault) => tell_fault("nothing is taken away", None, &fault),
            Look::Unchanged => {}
        }
        self.overview.set_directory_alerts(self.watch.alerts().map(ToString::to_string).collect());
        if !self.started && !self.watch.is_settling() {
            self.started = true;
            self.publish();
        }
        if self.again.is_some_and(|again| now >= again) {
            self.again = None;
            for known in self.known.values_mut().filter(|known| known.again) {
                *known = Known::default();
            }
            self.read();
        }
    }

    /// Takes in what lies in the deploy directory by now.
    fn read(&mut self) {
        let Some(snapshot) = &self.snapshot else { return };
        let Deployment { handlers: found, faults } = deploy::read(&self.operator, snapshot);
        for fault in faults.iter().filter(|fault| !self.faults.contains(fault)) {
            tell_fault("the deploy directory has a fault", None, fault);
        }
        self.faults = faults;
        let names: BTreeSet<HandlerName> = found.iter().map(name_of).collect();
        for (gone, ran) in self.rollout.retain(&names) {
            self.known.remove(&gone);
            let then = if ran { "what it works on ends, later records wait" } else { "no version of it was running" };
            tracing::info!(
                target: "callgate::deploy", tenant = %gone.tenant, handler = %gone.handler, "a handler is gone: {then}"
            );
            (self.listener)(&News::Gone(&gone));
        }
        for found in &found {
            match &found.outcome {
                Ok(handler) => self.found(&name_of(found), handler),
                Err(faults) => self.faulty(&name_of(found), faults),
            }
        }
        if found.is_empty() && !self.watch.is_settling() {
            tracing::warn!(
                target: "callgate::deploy", code = "run.no-handler",
                directory = %self.operator.deploy.directory.display(),
                "there is no handler, so nothing is consumed: put <tenant>/<handler>.wasm into the deploy directory"
            );
        }
        self.follow();
    }

    fn found(&mut self, name: &HandlerName, handler: &Arc<deploy::Handler>) {
        let version = Some((handler.version.clone(), self.reading));
        let known = self.known.entry(name.clone()).or_default();
        if known.version == version {
            return;
        }
        let components: Vec<_> = handler.components().map(|component| component.digest.clone()).collect();
        let wanted = if components == known.components { known.wanted.clone() } else { Arc::default() };
        let now = Known { version, components, wanted: wanted.clone(), ..Known::default() };
        let before = std::mem::replace(known, now);
        self.tell_skipped(name, &before, Some(&handler.version));
        let load = Load {
            name: name.clone(),
            number: self.rollout.found(name, &handler.group),
            found: handler.clone(),
            assembler: self.assembler.clone(),
            wanted: Arc::downgrade(&wanted),
        };
        // The loader is there as long as its queue.
        let _ = self.loads.send(load);
    }

    fn faulty(&mut self, name: &HandlerName, faults: &[Fault]) {
        let known = self.known.entry(name.clone()).or_default();
        if known.faults == faults {
            return;
        }
        let refused = Refused {
            code: faults.first().map_or("", |fault| fault.code.as_str()),
            sentence: faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        };
        let now = Known { faults: faults.to_vec(), refused: Some(refused.clone()), ..Known::default() };
        let before = std::mem::replace(known, now);
        self.tell_skipped(name, &before, None);
        self.rollout.refused(name);
        self.overview.refused.fetch_add(1, Relaxed);
        for fault in faults {
            tell_fault("a handler is refused", Some(name), fault);
        }
        (self.listener)(&News::Refused(name, &refused));
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Reload(operator) => self.reload(*operator),
            Event::Loaded { name, number, outcome } => self.loaded(&name, number, outcome),
            Event::Failing { name, version } => self.failing(&name, &version),
            Event::Stop => {}
        }
    }

    fn reload(&mut self, operator: Operator) {
        let (operator, waiting) = self.operator.reloaded(operator);
        for key in waiting {
            tracing::warn!(
                target: "callgate::deploy", code = "run.needs-restart", key,
                "`{key}` has changed in the operator's file: the host goes on as before until it is started again"
            );
        }
        self.operator = Arc::new(operator);
        self.assembler = Arc::new(self.assembler.of(&self.operator));
        self.reading += 1;
        self.watch.confirm();
        self.look(Instant::now());
        self.read();
        self.host.resume();
        tracing::info!(target: "callgate::deploy", "the operator's file was read again");
    }

    fn follow(&mut self) {
        self.stop_outdated();
        self.decide();
        self.watch.set_idle(self.rollout.idle().map(|name| (&*name.tenant, &*name.handler)));
        let wanted = self.rollout.wanted();
        self.host.follow(&wanted);
        self.publish();
    }

    fn publish(&self) {
        self.overview.set_groups(self.host.groups(), self.host.refused_clients());
        let handlers = self.rollout.all().map(|(name, running, latest)| HandlerStatus {
            name: name.clone(),
            running: running.map(|version| (version.version.clone(), version.callable.digest().clone())),
            loading: latest == Latest::Loading,
            refused: self.known.get(name).and_then(|known| known.refused.clone()),
        });
        self.overview.set_handlers(handlers.collect(), self.started && self.rollout.is_decided());
    }
}

impl Version for Arc<Handler> {
    type Conflict = Fault;

    fn id(&self) -> &str {
        &self.version
    }

    fn group(&self) -> &str {
        &self.group_id
    }

    fn conflict_with(&self, other: &Self) -> Option<Fault> {
        let pairs = self.routes.iter().flat_map(|route| other.routes.iter().map(move |taken| (route, taken)));
        let mut pairs = pairs.filter(|_| self.group_id == other.group_id);
        pairs.find_map(|(route, taken)| {
            let topics = route.conflict_with(taken)?;
            Some(deploy::conflict(route, &other.name, &"its version that runs", &topics))
        })
    }
}

/// Whether a component can be a handler at all, as far as can be told without compiling it.
///
/// # Errors
/// A sentence that says what it is instead.
pub fn verify(component: &[u8]) -> Result<(), String> {
    invoke::check(component).map(|_| ()).map_err(|reason| reason.to_string())
}

fn name_of(found: &deploy::Found) -> HandlerName {
    HandlerName { tenant: found.tenant.clone(), handler: found.name.clone() }
}

fn tell_fault(what: &str, name: Option<&HandlerName>, fault: &Fault) {
    let (tenant, handler) = name.map(|name| (&*name.tenant, &*name.handler)).unzip();
    tracing::error!(target: "callgate::deploy", tenant, handler, code = fault.code.as_str(), "{what}: {fault}");
}
