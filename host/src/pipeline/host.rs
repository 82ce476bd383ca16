//! A running host: its workers, its tenants' clients; how they follow the handlers that are wanted, and how it drains.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::bound::Handler;
use super::clients::{Clients, Surroundings, tell_refused};
use super::jobs::Jobs;
use super::observe::Observer;
use super::overview::GroupView;
use super::room::{Room, SetAside};
use super::worker::{self, Worker};
use crate::consume::{FirstStart, Pollers};
use crate::invoke::{self, Invoker, Network, Watchdog};
use crate::pulse::Pulse;
use crate::settle::Guarantee;

/// Between attempts to make clients that the Kafka client has refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);

/// What the whole host is set to.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// Worker threads.
    pub workers: usize,
    /// Polling threads, at most one a group.
    pub pollers: usize,
    /// Bytes that all of it may hold: calls and what comes of them, buffers, instances that are kept warm.
    pub memory: u64,
    /// The room with the sandbox.
    pub invoke: invoke::Settings,
    /// Static membership: this host's name among the replicas.
    pub instance_id: Option<String>,
    /// Where a group begins that has never committed.
    pub first_start: FirstStart,
    /// How sure it is that nothing is repeated.
    pub guarantee: Guarantee,
}

impl HostSettings {
    /// What the instances that all workers keep warm hold at most.
    fn warm_memory(&self) -> u64 {
        (self.workers * (self.invoke.warm_memory + self.invoke.idle_memory)) as u64
    }
}

/// See the module.
pub struct Host {
    settings: HostSettings,
    jobs: Arc<Jobs>,
    memory: Arc<Room>,
    workers: Vec<JoinHandle<()>>,
    pulses: Vec<Arc<Pulse>>,
    stop_workers: watch::Sender<bool>,
    pollers: Pollers,
    tenants: BTreeMap<Arc<str>, Clients>,
    // Client sets that are being given up.
    leaving: Vec<(Arc<str>, Clients)>,
    // What is wanted, and cannot be yet.
    unfinished: Option<(Vec<Arc<Handler>>, Instant)>,
    // Tenants whose clients cannot be made, and why.
    refused: BTreeMap<Arc<str>, String>,
    // What the instances hold that are kept warm.
    _warm: SetAside,
    network: Network,
    // Ends guests that run for too long, until the last worker has gone.
    watchdog: Watchdog,
}

impl Host {
    /// Starts the workers. Records flow once there are handlers, see [`follow`](Self::follow).
    ///
    /// # Errors
    /// A sentence: what the machine refuses.
    pub fn start(settings: HostSettings, observer: Arc<dyn Observer>) -> anyhow::Result<Self> {
        let (watchdog, network) = (Watchdog::start()?, Network::start()?);
        let jobs = Arc::new(Jobs::default());
        let memory = Room::new(settings.memory);
        let shared = worker::Shared { jobs: jobs.clone(), observer, memory: memory.clone() };
        let (stop_workers, stop) = watch::channel(false);
        let pulses: Vec<_> = (0..settings.workers).map(|_| Arc::new(Pulse::new(Instant::now()))).collect();
        let workers = pulses
            .iter()
            .enumerate()
            .map(|(index, pulse)| {
                let invoker = Invoker::new(&settings.invoke, &watchdog)?;
                let slots = settings.invoke.slots as usize;
                Ok(Worker::start(index, invoker, slots, shared.clone(), pulse.clone(), stop.clone()))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self {
            pollers: Pollers::new(settings.pollers),
            _warm: memory.set_aside(settings.warm_memory()),
            settings,
            jobs,
            memory,
            workers,
            pulses,
            stop_workers,
            tenants: BTreeMap::new(),
            leaving: Vec::new(),
            unfinished: None,
            refused: BTreeMap::new(),
            network,
            watchdog,
        })
    }

    /// What outgoing requests of guests share.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The pulses of the workers, in their order.
    pub(super) fn pulses(&self) -> &[Arc<Pulse>] {
        &self.pulses
    }

    /// What the workers' guests run in.
    pub(super) fn sandbox(&self) -> (invoke::Settings, Watchdog) {
        (self.settings.invoke.clone(), self.watchdog.clone())
    }

    /// Makes what runs equal to these handlers. A version that takes another's place does so between two calls, and
    /// its group notices nothing; topics that come or go cost their group one cooperative rebalance; a tenant whose
    /// clients must be others gets them; all else is not touched. What cannot be done yet is done by
    /// [`go_on`](Self::go_on).
    pub fn follow(&mut self, handlers: &[Arc<Handler>]) {
        let mut wanted: BTreeMap<Arc<str>, Vec<Arc<Handler>>> = BTreeMap::new();
        for handler in handlers {
            wanted.entry(handler.tenant.name.clone()).or_default().push(handler.clone());
        }
        let unsuited = |(name, clients): (&Arc<str>, &Clients)| {
            (!wanted.get(name).is_some_and(|handlers| clients.suit(&handlers[0].tenant))).then(|| name.clone())
        };
        for name in self.tenants.iter().filter_map(unsuited).collect::<Vec<_>>() {
            if let Some(mut clients) = self.tenants.remove(&name) {
                clients.leave();
                self.leaving.push((name, clients));
            }
        }
        self.refused.clear();
        let mut complete = true;
        for (name, handlers) in wanted {
            complete &= self.follow_tenant(&name, &handlers);
        }
        self.unfinished = (!complete).then(|| (handlers.to_vec(), Instant::now()));
    }

    fn follow_tenant(&mut self, name: &Arc<str>, handlers: &[Arc<Handler>]) -> bool {
        if self.leaving.iter().any(|(leaving, _)| leaving == name) {
            return false;
        }
        if !self.tenants.contains_key(name) {
            match Clients::new(&handlers[0].tenant, &self.settings.guarantee, &self.memory) {
                Ok(clients) => {
                    self.tenants.insert(name.clone(), clients);
                }
                Err(error) => {
                    tell_refused(&handlers[0].tenant, &error);
                    self.refused.insert(name.clone(), error);
                    return false;
                }
            }
        }
        let Some(clients) = self.tenants.get_mut(name) else { return false };
        let mut around = Surroundings {
            settings: &self.settings,
            jobs: &self.jobs,
            memory: &self.memory,
            pollers: &mut self.pollers,
            refused: &mut self.refused,
        };
        clients.follow(handlers, &mut around)
    }

    /// Goes on with what could not be done at once. To be called now and then.
    pub fn go_on(&mut self) {
        let mut left = false;
        for index in (0..self.leaving.len()).rev() {
            let clients = &mut self.leaving[index].1;
            clients.forget_left();
            if clients.have_left() {
                self.leaving.swap_remove(index).1.close();
                left = true;
            }
        }
        for clients in self.tenants.values_mut() {
            left |= clients.forget_left();
        }
        if let Some((handlers, _)) = self.unfinished.take_if(|(_, since)| left || since.elapsed() > REFUSED_PAUSE) {
            self.follow(&handlers);
        }
    }

    /// Tenants whose clients cannot be made, a sentence each.
    pub(super) fn refused_clients(&self) -> Vec<String> {
        let sentence =
            |(tenant, error): (&Arc<str>, &String)| format!("{tenant}: its Kafka client cannot be made: {error}");
        self.refused.iter().map(sentence).collect()
    }

    /// The groups that run, as an operator may see them.
    pub(super) fn groups(&self) -> Vec<GroupView> {
        self.tenants.values().flat_map(Clients::groups).collect()
    }

    /// Takes partitions up again that were stopped for good: the operator says that what was wrong is mended.
    pub fn resume(&self) {
        self.tenants.values().for_each(Clients::resume);
    }

    /// Takes in nothing more, lets what is being worked on end, commits, leaves the groups. Waits for all of that; each
    /// part has a bound, so a broker that is down does not hold the process.
    pub fn drain(self) {
        self.pollers.drain();
        self.tenants.values().chain(self.leaving.iter().map(|(_, clients)| clients)).for_each(Clients::flush);
        // Workers may be gone already if their runtime failed.
        let _ = self.stop_workers.send(true);
        for worker in self.workers {
            if worker.join().is_err() {
                tracing::error!(target: "callgate::pipeline", code = "run.host-failed", "a worker thread panicked");
            }
        }
    }
}
