//! From a handler as it was found to a version that can run: on a thread of its own, since compiling takes long.

use std::collections::VecDeque;
use std::sync::{Arc, Weak, mpsc};
use std::thread::{self, JoinHandle};

use super::assemble::{Assembler, Brokers, NotLoaded, host as host_settings};
use super::bound::Handler;
use super::overview::Refused;
use super::probation::Probation;
use super::reconcile::Event;
use super::rollout::HandlerName;
use crate::config::{Fault, Operator};
use crate::deploy;
use crate::invoke::{self, Compiler, HostError, Network, Trial, Watchdog};

/// What is to be loaded.
pub(super) struct Load {
    pub(super) name: HandlerName,
    pub(super) number: u64,
    pub(super) found: Arc<deploy::Handler>,
    /// Of the operator's file as it was when the handler was found.
    pub(super) assembler: Arc<Assembler>,
    /// Somebody holds on to it as long as this is what the handler is to be.
    pub(super) wanted: Weak<()>,
}

/// How a load has ended.
pub(super) enum Loaded {
    /// The version can run.
    Ready(Arc<Handler>),
    /// It cannot, and will not until its files change.
    Refused(Refused),
    /// The host could not load it for want of something of its own: to be tried again.
    NotNow(Refused),
}

/// What loads: the thread's own.
pub(super) struct Loader {
    pub(super) compiler: Arc<Compiler>,
    /// Versions are tried in what they will run in.
    pub(super) sandbox: invoke::Settings,
    pub(super) watchdog: Watchdog,
}

impl Loader {
    /// Starts the thread; it ends when the sender of its queue is dropped.
    pub(super) fn start(self, loads: mpsc::Receiver<Load>, events: mpsc::Sender<Event>) -> JoinHandle<()> {
        thread::Builder::new()
            .name("deploy-loader".into())
            .spawn(move || self.run(&loads, &events))
            .expect("the system has a thread left")
    }

    fn run(&self, loads: &mpsc::Receiver<Load>, events: &mpsc::Sender<Event>) {
        let mut queue = Queue::new();
        while let Ok(first) = loads.recv() {
            queue.push(first.name.clone(), first);
            // Between loads there is none: it holds memory.
            let trial = Trial::new(&self.sandbox, &self.watchdog);
            loop {
                // What has come meanwhile gets in line.
                loads.try_iter().for_each(|load| queue.push(load.name.clone(), load));
                let Some(load) = queue.pop() else { break };
                if load.wanted.strong_count() == 0 {
                    continue;
                }
                let outcome = match &trial {
                    Ok(trial) => load_one(&load, trial, events),
                    Err(error) => Loaded::NotNow(Refused { code: "run.no-room", sentence: error.to_string() }),
                };
                // Nobody listens any more while the host stops.
                let _ = events.send(Event::Loaded { name: load.name, number: load.number, outcome });
            }
            // All that is to run is loaded, and so in use.
            self.compiler.prune_cache();
        }
    }
}

/// What is still to be loaded: tenants take turns, so that one whose components take long to compile holds up nobody's
/// but its own; and of each handler only what was found last.
struct Queue<L> {
    tenants: VecDeque<(Arc<str>, Line<L>)>,
}

/// One tenant's, in the order in which they were found.
type Line<L> = VecDeque<(HandlerName, L)>;

impl<L> Queue<L> {
    fn new() -> Self {
        Self { tenants: VecDeque::new() }
    }

    fn push(&mut self, name: HandlerName, load: L) {
        let Some((_, waiting)) = self.tenants.iter_mut().find(|(tenant, _)| *tenant == name.tenant) else {
            return self.tenants.push_back((name.tenant.clone(), VecDeque::from([(name, load)])));
        };
        match waiting.iter_mut().find(|(overtaken, _)| *overtaken == name) {
            Some((_, overtaken)) => *overtaken = load,
            None => waiting.push_back((name, load)),
        }
    }

    fn pop(&mut self) -> Option<L> {
        let (tenant, mut waiting) = self.tenants.pop_front()?;
        let (_, load) = waiting.pop_front()?;
        if !waiting.is_empty() {
            self.tenants.push_back((tenant, waiting));
        }
        Some(load)
    }
}

fn load_one(load: &Load, trial: &Trial, events: &mpsc::Sender<Event>) -> Loaded {
    let probation = load.found.rollback.map(|traps| {
        let (name, version, events) = (load.name.clone(), load.found.version.clone(), events.clone());
        Probation::new(traps, move || {
            // Nobody listens any more while the host stops.
            let _ = events.send(Event::Failing { name: name.clone(), version: version.clone() });
        })
    });
    let wanted = || load.wanted.strong_count() > 0;
    match load.assembler.handler(&load.found, trial, probation, &wanted) {
        Ok(handler) => Loaded::Ready(handler),
        Err(NotLoaded { fault, again }) => {
            let refused = Refused { code: fault.code.as_str(), sentence: fault.to_string() };
            if again { Loaded::NotNow(refused) } else { Loaded::Refused(refused) }
        }
    }
}

/// Takes versions through all that a host does before it runs them, and runs none: for whoever wants to know what would
/// become of them.
pub struct Rehearsal {
    assembler: Assembler,
    trial: Trial,
}

impl Rehearsal {
    /// For one reading of the operator's file.
    ///
    /// # Errors
    /// What the machine refuses.
    pub fn new(operator: Arc<Operator>, compiler: Arc<Compiler>) -> Result<Self, HostError> {
        let trial = Trial::new(&host_settings(&operator).invoke, &Watchdog::start()?)?;
        Ok(Self { assembler: Assembler::new(operator, compiler, Network::start()?, Brokers::Real), trial })
    }

    /// Loads a version as a host would.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn load(&self, found: &deploy::Handler) -> Result<(), Fault> {
        self.assembler.handler(found, &self.trial, None, &|| true).map(|_| ()).map_err(|refused| refused.fault)
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    #[test]
    fn tenants_take_turns_and_what_was_overtaken_is_not_loaded() {
        let mut queue = Queue::new();
        for (tenant, handler, load) in
            [("acme", "a", 1), ("acme", "b", 2), ("acme", "c", 3), ("shop", "a", 4), ("acme", "b", 5), ("bank", "a", 6)]
        {
            queue.push(HandlerName { tenant: tenant.into(), handler: handler.into() }, load);
        }
        assert_eq!(iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), [1, 4, 6, 5, 3]);
    }
}
