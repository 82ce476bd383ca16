//! A running host: its workers, its clients, its groups; how it is started and how it drains.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use callgate_core::dead_letter::{DeadLetterPolicy, dead_letter_topic};
use callgate_core::order::{LaneId, Ordering};
use tokio::sync::{Semaphore, watch};

use super::bound::{Handler, RouteTable, Routes, never_matched};
use super::jobs::{Job, Jobs};
use super::observe::Observer;
use super::quota::Quota;
use super::unit::Settlement;
use super::worker::{self, Worker};
use crate::broker::{TopicPartition, Wake};
use crate::consume::{Bounds, FirstStart, Group, GroupSettings, GroupStatus, Intake, Partition, Poller};
use crate::invoke::{self, Invoker, Watchdog};

/// How long what was sent may take to be acknowledged while the host stops.
const LAST_FLUSH: Duration = Duration::from_secs(2);

/// What the whole host is set to.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// Worker threads.
    pub workers: usize,
    /// Polling threads, at most one a group.
    pub pollers: usize,
    /// Bytes that all calls at once may reserve.
    pub memory: usize,
    /// The room with the sandbox.
    pub invoke: invoke::Settings,
    /// Static membership: this host's name among the replicas.
    pub instance_id: Option<String>,
    /// Where a group begins that has never committed.
    pub first_start: FirstStart,
}

/// A group that was joined, and what its handlers are now.
struct JoinedGroup {
    status: Arc<GroupStatus>,
    routes: Arc<Routes>,
    handlers: Mutex<Vec<Arc<Handler>>>,
    never: Arc<HashSet<Arc<str>>>,
    quota: Arc<Quota>,
}

/// See the module.
pub struct Host {
    pollers: Vec<Poller>,
    workers: Vec<JoinHandle<()>>,
    stop_workers: watch::Sender<bool>,
    settlements: Vec<Arc<Settlement>>,
    groups: Vec<JoinedGroup>,
    // Ends guests that run for too long, until the last worker has gone.
    _watchdog: Watchdog,
}

impl Host {
    /// Starts workers and clients and joins the groups of these handlers. Records flow from here on.
    ///
    /// # Errors
    /// A sentence: what the machine or the Kafka client refuses.
    pub fn start(
        settings: &HostSettings,
        handlers: &[Arc<Handler>],
        observer: Arc<dyn Observer>,
    ) -> anyhow::Result<Self> {
        let watchdog = Watchdog::start()?;
        let jobs = Arc::new(Jobs::default());
        let shared =
            worker::Shared { jobs: jobs.clone(), observer, memory: Arc::new(Semaphore::new(settings.memory >> 20)) };
        let (stop_workers, stop) = watch::channel(false);
        let workers = (0..settings.workers)
            .map(|index| {
                let invoker = Invoker::new(&settings.invoke, &watchdog)?;
                let slots = settings.invoke.slots as usize;
                Ok(Worker::start(index, invoker, slots, shared.clone(), stop.clone()))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;

        let mut host = Self {
            pollers: Vec::new(),
            workers,
            stop_workers,
            settlements: Vec::new(),
            groups: Vec::new(),
            _watchdog: watchdog,
        };
        host.join_groups(settings, handlers, &jobs)?;
        Ok(host)
    }

    fn join_groups(
        &mut self,
        settings: &HostSettings,
        handlers: &[Arc<Handler>],
        jobs: &Arc<Jobs>,
    ) -> anyhow::Result<()> {
        let mut tenants: BTreeMap<Arc<str>, Vec<Arc<Handler>>> = BTreeMap::new();
        for handler in handlers {
            tenants.entry(handler.tenant.name.clone()).or_default().push(handler.clone());
        }
        let mut polled: Vec<(Arc<Wake>, Vec<Group>)> = Vec::new();
        let mut joined = 0;
        for handlers in tenants.values() {
            let tenant = &handlers[0].tenant;
            let refused = |error| anyhow::anyhow!("the Kafka client of tenant {} cannot be made: {error}", tenant.name);
            let settlement = Arc::new(Settlement::new(&tenant.client).map_err(refused)?);
            self.settlements.push(settlement.clone());
            let quota = Arc::new(Quota::new(tenant.max_in_flight, tenant.share));
            let mut groups: BTreeMap<&str, Vec<&Arc<Handler>>> = BTreeMap::new();
            for handler in handlers {
                groups.entry(&handler.group_id).or_default().push(handler);
            }
            let never = never_matched(handlers.iter());
            let bounds = shared_among(tenant.bounds, groups.len());
            for (group_id, handlers) in &groups {
                let table = RouteTable::new(handlers.iter().copied(), &never, &quota);
                let (topics, has_patterns) = (table.named().cloned().collect(), table.has_patterns());
                let routes = Arc::new(Routes::new(table));
                let intake = Arc::new(GroupIntake {
                    group_id: (*group_id).to_owned(),
                    create_dead_letter_topic: tenant.create_dead_letter_topic,
                    dead_letter: tenant.dead_letter.clone(),
                    routes: routes.clone(),
                    jobs: jobs.clone(),
                    settlement: Arc::new(settlement.of_group(group_id)),
                    quota: quota.clone(),
                });
                if polled.len() <= joined % settings.pollers.max(1) {
                    polled.push((Arc::default(), Vec::new()));
                }
                let index = joined % polled.len();
                let (wake, list) = &mut polled[index];
                let group = Group::new(
                    GroupSettings {
                        client: tenant.client.clone(),
                        group_id: (*group_id).to_owned(),
                        instance_id: settings.instance_id.clone(),
                        first_start: settings.first_start,
                        topics,
                        has_patterns,
                        bounds,
                    },
                    intake,
                    wake.clone(),
                )
                .map_err(refused)?;
                self.groups.push(JoinedGroup {
                    status: group.status(),
                    routes,
                    handlers: Mutex::new(handlers.iter().map(|handler| (*handler).clone()).collect()),
                    never: never.clone(),
                    quota: quota.clone(),
                });
                list.push(group);
                joined += 1;
            }
        }
        self.pollers = polled.into_iter().map(|(wake, groups)| Poller::start(groups, wake)).collect();
        Ok(())
    }

    /// The groups that were joined, as an operator may see them.
    pub fn groups(&self) -> Vec<Arc<GroupStatus>> {
        self.groups.iter().map(|group| group.status.clone()).collect()
    }

    /// Puts a new version in the place of a handler with the same routes. Calls in flight end on the version that they
    /// began with; the next one is on this.
    pub fn replace(&self, version: &Arc<Handler>) {
        for group in self.groups.iter().filter(|group| group.status.group_id == version.group_id) {
            let mut handlers = group.handlers.lock().unwrap_or_else(PoisonError::into_inner);
            for handler in handlers.iter_mut().filter(|handler| handler.name == version.name) {
                *handler = version.clone();
            }
            group.routes.replace(RouteTable::new(handlers.iter(), &group.never, &group.quota));
        }
    }

    /// Takes in nothing more, lets what is being worked on end, commits, leaves the groups. Waits for all of that; each
    /// part has a bound, so a broker that is down does not hold the process.
    pub fn drain(self) {
        self.pollers.iter().for_each(Poller::stop);
        self.pollers.into_iter().for_each(Poller::join);
        for settlement in &self.settlements {
            if !settlement.flush(LAST_FLUSH) {
                tracing::warn!(target: "callgate::pipeline", code = "run.left-without-answer", "some records that were sent were not acknowledged in time; theirs come again");
            }
        }
        // Workers may be gone already if their runtime failed.
        let _ = self.stop_workers.send(true);
        for worker in self.workers {
            if worker.join().is_err() {
                tracing::error!(target: "callgate::pipeline", code = "run.host-failed", "a worker thread panicked");
            }
        }
    }
}

/// What a group's records meet first.
struct GroupIntake {
    group_id: String,
    create_dead_letter_topic: bool,
    dead_letter: DeadLetterPolicy,
    routes: Arc<Routes>,
    jobs: Arc<Jobs>,
    settlement: Arc<Settlement>,
    quota: Arc<Quota>,
}

impl Intake for GroupIntake {
    fn ordering(&self, topic: &str) -> Ordering {
        self.routes.get(topic).map(|bound| bound.route.ordering).unwrap_or_default()
    }

    fn routes(&self, topic: &str) -> bool {
        self.routes.get(topic).is_some()
    }

    fn opened(&self, at: &TopicPartition, partitions: i32) {
        let topic = dead_letter_topic(&at.topic, &self.dead_letter);
        let directory = self.settlement.directory();
        let there = if self.create_dead_letter_topic {
            directory.ensure_dead_letters(&topic, &at.topic, partitions)
        } else {
            directory.is_there(&topic).map(|()| false)
        };
        match there {
            Ok(true) => tracing::info!(target: "callgate::pipeline", %topic, partitions, "made the dead-letter topic"),
            Ok(false) => {}
            Err(error) => tracing::warn!(
                target: "callgate::pipeline", code = "run.dead-letter-topic-missing", group = self.group_id, %topic, error,
                "the dead-letter topic is not there, and is not made; the first dead letter will stop its partition"
            ),
        }
    }

    fn start(&self, partition: Arc<Partition>, lane: LaneId) {
        let share = self.quota.share();
        let (routes, settlement) = (self.routes.clone(), self.settlement.clone());
        self.jobs.push(share, Job { share, partition, lane, routes, settlement });
    }
}

fn shared_among(bounds: Bounds, groups: usize) -> Bounds {
    let groups = groups.max(1);
    Bounds { records: (bounds.records / groups).max(1), bytes: (bounds.bytes / groups).max(1) }
}
