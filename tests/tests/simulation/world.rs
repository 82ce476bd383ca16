//! Broker, network, time, and hosts that come and go: one schedule, drawn from one seed.

use std::time::Duration;

use callgate_core::order::Ordering;

use super::chance::Chance;
use super::fault::Fault;
use super::host::{Host, OnItsWay, Shipment, What};
use super::judge::{End, Judge, Verdict};
use super::source::{self, Source};

/// Steps with faults, and the most that it may take to become quiet after them.
const STEPS: usize = 600;
const HEALING: usize = 60_000;

/// How often what goes wrong, as drawn for one schedule; 0: never. Different schedules, different troubles.
struct Troubles {
    crash: usize,
    stop: usize,
    rebalance: usize,
    lost_commit: usize,
    dead_letters_refused: usize,
}

enum Life {
    Down,
    Running,
    /// As by SIGSTOP, or beyond a network that is cut: the group has thrown it out, and it does not know.
    ThrownOut {
        stopped: bool,
    },
}

struct Member {
    life: Life,
    host: Host,
    lives: u64,
}

pub(crate) struct World {
    chance: Chance,
    fault: Option<Fault>,
    ordering: Ordering,
    troubles: Troubles,
    now: Duration,
    log: Vec<Vec<Source>>,
    committed: Vec<(i64, String)>,
    owners: Vec<Option<usize>>,
    /// Where a revoked partition goes.
    heirs: Vec<Option<usize>>,
    members: Vec<Member>,
    /// Commits that were on their way when their partition was given up.
    late: Vec<OnItsWay>,
    dead_letters_refused: bool,
    judge: Judge,
    trace: Option<Vec<String>>,
}

impl World {
    pub(crate) fn new(seed: u64, fault: Option<Fault>, traced: bool) -> Self {
        let mut chance = Chance::new(seed);
        let ordering = chance.pick(&[Ordering::Partition, Ordering::Key, Ordering::Key, Ordering::Unordered]);
        let (partitions, hosts, keys) = (chance.between(1, 3), chance.between(2, 3), chance.between(1, 4));
        let log: Vec<_> = (0..partitions)
            .map(|_| {
                let records = chance.between(3, 30);
                source::partition(&mut chance, records, keys)
            })
            .collect();
        let troubles = Troubles {
            crash: chance.pick(&[0, 60, 200]),
            stop: chance.pick(&[0, 80, 200]),
            rebalance: chance.pick(&[0, 20, 60]),
            lost_commit: chance.pick(&[0, 3, 10]),
            dead_letters_refused: chance.pick(&[0, 40]),
        };
        let member = |_| Member { life: Life::Running, host: Host::new(fault, 1), lives: 1 };
        let mut world = Self {
            judge: Judge::new(ordering, &log),
            committed: vec![(0, String::new()); partitions],
            owners: vec![None; partitions],
            heirs: vec![None; partitions],
            members: (0..hosts).map(member).collect(),
            late: Vec::new(),
            dead_letters_refused: false,
            now: Duration::ZERO,
            trace: traced.then(Vec::new),
            chance,
            fault,
            ordering,
            troubles,
            log,
        };
        (0..partitions).for_each(|partition| world.give(partition, partition % hosts));
        world
    }

    /// Runs the schedule to its end; the trace is of what happened until then.
    pub(crate) fn run(mut self) -> (Verdict, Vec<String>) {
        let verdict = self.with_faults().and_then(|()| self.heal());
        (verdict, self.trace.unwrap_or_default())
    }

    fn with_faults(&mut self) -> Verdict {
        for _ in 0..STEPS {
            self.trouble();
            self.step()?;
        }
        Ok(())
    }

    fn heal(&mut self) -> Verdict {
        self.note(|_| "nothing goes wrong any more".to_owned());
        self.troubles = Troubles { crash: 0, stop: 0, rebalance: 0, lost_commit: 0, dead_letters_refused: 0 };
        self.dead_letters_refused = false;
        (0..self.members.len()).for_each(|member| self.restore(member));
        for step in 0..HEALING {
            self.step()?;
            let committed: Vec<i64> = self.committed.iter().map(|(offset, _)| *offset).collect();
            if step % 50 == 0 && self.judge.is_complete(&committed) {
                return Ok(());
            }
        }
        let committed: Vec<i64> = self.committed.iter().map(|(offset, _)| *offset).collect();
        self.judge.finally(&committed)
    }

    // What goes wrong

    fn trouble(&mut self) {
        let member = self.chance.below(self.members.len());
        if self.chance.one_in(self.troubles.crash) {
            self.crash(member);
        }
        if self.chance.one_in(self.troubles.stop) && matches!(self.members[member].life, Life::Running) {
            let stopped = self.chance.one_in(2);
            self.note(|_| format!("host {member} is thrown out, stopped: {stopped}"));
            self.members[member].life = Life::ThrownOut { stopped };
            self.share_out(member);
        }
        if self.chance.one_in(self.troubles.rebalance) {
            self.rebalance();
        }
        if self.chance.one_in(self.troubles.dead_letters_refused) {
            self.dead_letters_refused = !self.dead_letters_refused;
        }
        if self.chance.one_in(30) {
            self.restore(member);
        }
    }

    /// What the client held may still be sent, in order.
    fn crash(&mut self, member: usize) {
        if matches!(self.members[member].life, Life::Down) {
            return;
        }
        self.note(|_| format!("host {member} is killed"));
        let sent = self.chance.below(self.members[member].host.sends.len() + 1);
        for _ in 0..sent {
            // A broken promise is told by the next step of this kind.
            if self.deliver(member).is_err() {
                break;
            }
        }
        self.members[member].life = Life::Down;
        self.share_out(member);
    }

    fn restore(&mut self, member: usize) {
        match self.members[member].life {
            Life::Running => return,
            Life::Down => {
                let lives = self.members[member].lives + 1;
                self.members[member] = Member { life: Life::Running, host: Host::new(self.fault, lives), lives };
            }
            Life::ThrownOut { .. } => {
                self.members[member].host.lose_all();
                self.members[member].life = Life::Running;
            }
        }
        self.note(|_| format!("host {member} joins"));
        for partition in 0..self.owners.len() {
            if self.owners[partition].is_none() && self.heirs[partition].is_none() {
                self.give(partition, member);
            }
        }
    }

    /// The group gives what that member had to the others.
    fn share_out(&mut self, member: usize) {
        for partition in 0..self.owners.len() {
            if self.heirs[partition] == Some(member) {
                self.heirs[partition] = None;
            }
            if self.owners[partition] == Some(member) {
                self.owners[partition] = None;
                self.heirs[partition] = None;
                if let Some(other) = self.another(member) {
                    self.give(partition, other);
                }
            }
        }
    }

    fn rebalance(&mut self) {
        let partition = self.chance.below(self.owners.len());
        let Some(owner) = self.owners[partition] else { return };
        let Some(heir) = self.another(owner) else { return };
        let host = &mut self.members[owner].host;
        if let Some(at) = host.partitions.iter().position(|known| known.index == partition)
            && self.heirs[partition].is_none()
        {
            host.revoke(at, self.now);
            self.heirs[partition] = Some(heir);
            self.note(|_| format!("partition {partition} is to go from host {owner} to {heir}"));
        }
    }

    fn another(&mut self, member: usize) -> Option<usize> {
        let others: Vec<usize> = (0..self.members.len())
            .filter(|&other| other != member && matches!(self.members[other].life, Life::Running))
            .collect();
        (!others.is_empty()).then(|| self.chance.pick(&others))
    }

    fn give(&mut self, partition: usize, member: usize) {
        let committed = self.committed[partition].clone();
        self.note(|_| format!("host {member} takes up partition {partition} at {}", committed.0));
        self.owners[partition] = Some(member);
        let sealed = self.judge.sealed(partition);
        self.members[member].host.take_up(partition, &committed, sealed, &self.log[partition]);
    }

    // What happens anyhow

    fn step(&mut self) -> Verdict {
        self.now += Duration::from_millis(self.chance.below(8) as u64);
        let member = self.chance.below(self.members.len());
        // The network goes on whatever the hosts do.
        match self.chance.below(8) {
            0 => return self.deliver(member),
            1 => return self.decide_commit(member),
            2 if !self.late.is_empty() => {
                let late = self.late.remove(0);
                return self.apply(&late);
            }
            _ => {}
        }
        if matches!(self.members[member].life, Life::Down | Life::ThrownOut { stopped: true }) {
            return Ok(());
        }
        let (now, ordering) = (self.now, self.ordering);
        let Member { host, .. } = &mut self.members[member];
        let at = self.chance.below(host.partitions.len());
        match self.chance.below(8) {
            0 if !host.partitions.is_empty() => {
                let (log, most) = (&self.log[host.partitions[at].index], self.chance.between(1, 4));
                host.poll(at, most, ordering, log)
            }
            1..=3 if !host.partitions.is_empty() => {
                let log = &self.log[host.partitions[at].index];
                host.work(at, now, log, &mut self.chance, &mut self.judge)
            }
            4 => host.acknowledge(),
            5 => {
                host.begin_commit();
                Ok(())
            }
            6 => {
                host.end_commit();
                Ok(())
            }
            _ => {
                if !host.partitions.is_empty() {
                    self.go(member, at);
                }
                Ok(())
            }
        }
    }

    /// The broker gets the next record of that host's producer.
    fn deliver(&mut self, member: usize) -> Verdict {
        let Member { host, life, .. } = &mut self.members[member];
        if matches!(life, Life::Down) {
            return Ok(());
        }
        let Some(shipment) = host.sends.pop_front() else { return Ok(()) };
        let Shipment { partition, offset, what, .. } = shipment;
        let delivered = !(self.dead_letters_refused && matches!(what, What::DeadLetter { .. }));
        host.acks.push_back((shipment, delivered));
        self.note(|_| format!("host {member}: {what:?} of {partition}/{offset}, delivered: {delivered}"));
        if !delivered {
            return Ok(());
        }
        let end = if matches!(what, What::DeadLetter { .. }) { End::DeadLetter } else { End::Reply };
        self.judge.written(partition, offset, end)
    }

    /// The broker decides upon the commit of that host. It asks whether the member is one, and not what it owns.
    fn decide_commit(&mut self, member: usize) -> Verdict {
        let lost = self.chance.one_in(self.troubles.lost_commit);
        let Member { host, life, .. } = &mut self.members[member];
        let Some(commit) = host.commit.take_if(|commit| commit.taken.is_none()) else { return Ok(()) };
        let taken = matches!(life, Life::Running) && !lost;
        if self.fault == Some(Fault::CommitAfterRevoke) {
            // The host believes that it was taken, and it is still on its way.
            host.commit = Some(OnItsWay { commits: commit.commits.clone(), taken: Some(true) });
            self.late.push(commit);
            return Ok(());
        }
        let verdict = if taken { self.apply(&commit) } else { Ok(()) };
        self.members[member].host.commit = Some(OnItsWay { taken: Some(taken), ..commit });
        verdict
    }

    fn apply(&mut self, commit: &OnItsWay) -> Verdict {
        for (partition, commit, known) in &commit.commits {
            self.note(|_| format!("partition {partition} is committed at {}", commit.offset));
            self.committed[*partition] = (commit.offset, commit.metadata.clone());
            self.judge.committed(*partition, commit.offset, &commit.metadata, known)?;
        }
        Ok(())
    }

    fn go(&mut self, member: usize, at: usize) {
        let now = self.now;
        let host = &mut self.members[member].host;
        let partition = host.partitions[at].index;
        // One that was thrown out has nothing to give away; it will learn that.
        if self.owners[partition] != Some(member) {
            return;
        }
        if !host.go(at, now) {
            return;
        }
        host.give_up(at);
        self.owners[partition] = None;
        let heir = self.heirs[partition].take();
        let heir = heir.filter(|&heir| matches!(self.members[heir].life, Life::Running));
        if let Some(heir) = heir.or_else(|| self.another(member)) {
            self.give(partition, heir);
        } else if matches!(self.members[member].life, Life::Running) {
            self.give(partition, member);
        }
    }

    fn note(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("{:>7} ms  {}", self.now.as_millis(), what(self));
            self.trace.iter_mut().for_each(|trace| trace.push(line.clone()));
        }
    }
}
