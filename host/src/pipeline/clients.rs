//! One tenant's client set while it runs: a producer, and a consumer for each of its groups, made with the group's first
//! handler and left after its last.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::bound::{Handler, RouteTable, Routes, Tenant, never_matched};
use super::host::HostSettings;
use super::intake::GroupIntake;
use super::jobs::Jobs;
use super::overview::GroupView;
use super::quota::Quota;
use super::room::{Room, SetAside};
use super::unit::RecordUnit;
use crate::consume::{Bounds, Group, GroupHandle, GroupSettings, Intent, Pollers};
use crate::settle::{Guarantee, Settlements};

/// How long what was sent may take to be acknowledged when a client set is given up.
const LAST_FLUSH: Duration = Duration::from_secs(2);

/// A group that runs, and the table of its routes.
struct RunningGroup {
    handle: GroupHandle,
    routes: Arc<Routes>,
}

/// See the module.
pub(super) struct Clients {
    tenant: Arc<Tenant>,
    settlements: Settlements<RecordUnit>,
    quota: Arc<Quota>,
    // Memory for the records that are taken in.
    buffers: SetAside,
    groups: BTreeMap<String, RunningGroup>,
    // Groups that are being left: none of the same name is joined before.
    leaving: Vec<GroupHandle>,
}

/// What groups are made with.
pub(super) struct Surroundings<'a> {
    pub(super) settings: &'a HostSettings,
    pub(super) jobs: &'a Arc<Jobs>,
    pub(super) memory: &'a Arc<Room>,
    pub(super) pollers: &'a mut Pollers,
    /// Tenants whose clients cannot be made, each with the client's own sentence.
    pub(super) refused: &'a mut BTreeMap<Arc<str>, String>,
}

impl Clients {
    /// Makes the producer.
    ///
    /// # Errors
    /// librdkafka's own sentence, where it refuses the settings.
    pub(super) fn new(tenant: &Arc<Tenant>, guarantee: &Guarantee, memory: &Arc<Room>) -> Result<Self, String> {
        Ok(Self {
            settlements: Settlements::new(&tenant.client, guarantee)?,
            quota: Arc::new(Quota::new(tenant.max_in_flight, tenant.share)),
            buffers: memory.set_aside(tenant.bounds.bytes as u64),
            tenant: tenant.clone(),
            groups: BTreeMap::new(),
            leaving: Vec::new(),
        })
    }

    /// Whether a change of the tenant's settings needs other clients than these.
    pub(super) fn suit(&self, tenant: &Tenant) -> bool {
        let now = &self.tenant;
        now.client == tenant.client
            && now.dead_letter == tenant.dead_letter
            && now.create_dead_letter_topic == tenant.create_dead_letter_topic
            && now.max_in_flight == tenant.max_in_flight
            && now.share == tenant.share
    }

    /// Makes what runs equal to these handlers, all of this tenant. Returns whether it is: a group that is still being
    /// left cannot be joined anew yet, nor one whose client cannot be made.
    pub(super) fn follow(&mut self, handlers: &[Arc<Handler>], around: &mut Surroundings<'_>) -> bool {
        let Some(first) = handlers.first() else { return true };
        self.tenant = first.tenant.clone();
        self.buffers.resize(self.tenant.bounds.bytes as u64);
        let never = never_matched(handlers.iter());
        let mut groups: BTreeMap<&str, Vec<&Arc<Handler>>> = BTreeMap::new();
        for handler in handlers {
            groups.entry(&handler.group_id).or_default().push(handler);
        }
        let unwanted: Vec<String> =
            self.groups.keys().filter(|id| !groups.contains_key(id.as_str())).cloned().collect();
        for group_id in unwanted {
            if let Some(group) = self.groups.remove(&group_id) {
                group.handle.stop();
                self.leaving.push(group.handle);
            }
        }
        let bounds = shared_among(self.tenant.bounds, groups.len());
        let mut complete = true;
        for (group_id, handlers) in groups {
            complete &= self.follow_group(group_id, &handlers, &never, bounds, around);
        }
        complete
    }

    fn follow_group(
        &mut self,
        group_id: &str,
        handlers: &[&Arc<Handler>],
        never: &Arc<HashSet<Arc<str>>>,
        bounds: Bounds,
        around: &mut Surroundings<'_>,
    ) -> bool {
        let running = self.groups.get(group_id);
        let before = running.map(|group| group.routes.table());
        let table = RouteTable::new(handlers.iter().copied(), never, &self.quota, before.as_deref());
        let intent = Intent { topics: table.named().cloned().collect(), has_patterns: table.has_patterns(), bounds };
        if let Some(running) = running {
            running.routes.replace(table);
            running.handle.follow(intent);
            return true;
        }
        if self.leaving.iter().any(|handle| handle.status().group_id == group_id) {
            return false;
        }
        match self.join(group_id, table, intent, around) {
            Ok(group) => {
                self.groups.insert(group_id.to_owned(), group);
                true
            }
            Err(error) => {
                tell_refused(&self.tenant, &error);
                around.refused.insert(self.tenant.name.clone(), error);
                false
            }
        }
    }

    fn join(
        &self,
        group_id: &str,
        table: RouteTable,
        intent: Intent,
        around: &mut Surroundings<'_>,
    ) -> Result<RunningGroup, String> {
        let tenant = &self.tenant;
        let routes = Arc::new(Routes::new(table));
        let intake = Arc::new(GroupIntake {
            group_id: group_id.to_owned(),
            create_dead_letter_topic: tenant.create_dead_letter_topic,
            dead_letter: tenant.dead_letter.clone(),
            routes: routes.clone(),
            jobs: around.jobs.clone(),
            settlement: Arc::new(self.settlements.of_group(group_id)),
            quota: self.quota.clone(),
            fetched: Mutex::new(around.memory.set_aside(0)),
        });
        let settings = GroupSettings {
            client: tenant.client.clone(),
            group_id: group_id.to_owned(),
            instance_id: around.settings.instance_id.clone(),
            first_start: around.settings.first_start,
            transactional: around.settings.guarantee != Guarantee::AtLeastOnce,
            intent,
        };
        let poller = around.pollers.poller();
        let (group, handle) = Group::new(settings, intake, poller.wake().clone())?;
        poller.add(group);
        Ok(RunningGroup { handle, routes })
    }

    /// The groups that run.
    pub(super) fn groups(&self) -> impl Iterator<Item = GroupView> {
        self.groups.values().map(|group| GroupView::new(group.handle.status(), &group.routes))
    }

    /// Takes up again what was stopped for good, and lets paused routes go on.
    pub(super) fn resume(&self) {
        for group in self.groups.values() {
            group.routes.table().open_gates();
            group.handle.resume();
        }
    }

    /// Begins to leave all groups.
    pub(super) fn leave(&mut self) {
        for (_, group) in std::mem::take(&mut self.groups) {
            group.handle.stop();
            self.leaving.push(group.handle);
        }
    }

    /// Forgets the groups that have been left by now. Returns whether there was one.
    pub(super) fn forget_left(&mut self) -> bool {
        let before = self.leaving.len();
        self.leaving.retain(|handle| !handle.status().snapshot().left);
        self.leaving.len() < before
    }

    /// Whether no group is left to be left.
    pub(super) fn have_left(&self) -> bool {
        self.leaving.is_empty()
    }

    /// Waits until what was sent is acknowledged, for a while.
    pub(super) fn flush(&self) {
        if !self.settlements.flush(LAST_FLUSH) {
            tracing::warn!(
                target: "callgate::pipeline", code = "run.left-without-answer", tenant = %self.tenant.name,
                "some records that were sent were not acknowledged in time; theirs come again"
            );
        }
    }

    /// Gives the clients up, on a thread of its own, since that may wait for the broker.
    pub(super) fn close(self) {
        thread::spawn(move || self.flush());
    }
}

/// A tenant whose clients cannot be made: the others go on, and it is tried again.
pub(super) fn tell_refused(tenant: &Tenant, error: &str) {
    tracing::error!(
        target: "callgate::pipeline", code = "run.client-refused", tenant = %tenant.name, error,
        "the tenant's Kafka client cannot be made; its handlers wait. Correct its properties and send SIGHUP"
    );
}

fn shared_among(bounds: Bounds, groups: usize) -> Bounds {
    let groups = groups.max(1);
    Bounds { records: (bounds.records / groups).max(1), bytes: (bounds.bytes / groups).max(1) }
}
