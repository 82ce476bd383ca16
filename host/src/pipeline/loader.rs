//! From a handler as it was found to a version that can run: on a thread of its own, since compiling takes long.

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use super::assemble::Assembler;
use super::bound::Handler;
use super::overview::Refused;
use super::probation::Probation;
use super::reconcile::Event;
use super::rollout::HandlerName;
use crate::deploy;

/// What is to be loaded.
pub(super) struct Load {
    pub(super) name: HandlerName,
    pub(super) number: u64,
    pub(super) found: Arc<deploy::Handler>,
    /// Of the operator's file as it was when the handler was found.
    pub(super) assembler: Arc<Assembler>,
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

/// The thread; it ends when the sender of its queue is dropped.
pub(super) fn start(loads: mpsc::Receiver<Load>, events: mpsc::Sender<Event>) -> JoinHandle<()> {
    thread::Builder::new()
        .name("deploy-loader".into())
        .spawn(move || {
            for load in loads {
                let outcome = load_one(&load, &events);
                // Nobody listens any more while the host stops.
                let _ = events.send(Event::Loaded { name: load.name, number: load.number, outcome });
            }
        })
        .expect("the system has a thread left")
}

fn load_one(load: &Load, events: &mpsc::Sender<Event>) -> Loaded {
    let probation = load.found.rollback.map(|traps| {
        let (name, version, events) = (load.name.clone(), load.found.version.clone(), events.clone());
        Probation::new(traps, move || {
            // Nobody listens any more while the host stops.
            let _ = events.send(Event::Failing { name: name.clone(), version: version.clone() });
        })
    });
    load.assembler.handler(&load.found, probation)
}
