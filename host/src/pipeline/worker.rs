//! A worker: a thread with a runtime and an engine of its own, on which lanes are emptied and guests run.

use std::cell::Cell;
use std::collections::HashSet;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use callgate_core::fair::TenantId;
use callgate_core::limits::CallLimits;
use callgate_core::stop::{Stop, StopCause};
use futures::FutureExt;
use http::{Request, Response};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::unconstrained;

use super::bound::Bound;
use super::carry;
use super::executor::{Executor, Standing, Turn, give_way};
use super::jobs::{Job, Jobs, Waiting};
use super::mailbox::{Mail, Mailbox};
use super::observe::Observer;
use super::room::{Reserved, Room};
use crate::consume::Partition;
use crate::invoke::{self, Attempts, CallError, Invoker};
use crate::pulse::Pulse;

/// How long turns are given before the runtime looks at timers and sockets, which costs a microsecond or two.
const VISIT: Duration = Duration::from_micros(200);

/// How long a lane stays on a worker where others wait for turns. Lanes that move on from time to time spread each
/// tenant's over all workers, so that what is fair on each of them is fair on the host.
const LANE_TURN: Duration = Duration::from_millis(1);

/// How long a lane goes on within one turn. A few short calls at once cost less than a turn for each, and whoever waits
/// does not notice.
const SHORT_CALLS: Duration = Duration::from_micros(150);

/// What all workers share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) jobs: Arc<Jobs>,
    pub(super) observer: Arc<dyn Observer>,
    /// The host's memory, in bytes.
    pub(super) memory: Arc<Room>,
}

/// See the module.
pub(super) struct Worker {
    invoker: Invoker,
    // Instances at once on this worker.
    slots: Semaphore,
    jobs: Arc<Jobs>,
    memory: Arc<Room>,
    pub(super) observer: Arc<dyn Observer>,
    standing: Rc<Standing>,
}

impl Worker {
    /// Starts the worker's thread; it ends when `stop` says so or is dropped.
    pub(super) fn start(
        index: usize,
        invoker: Invoker,
        slots: usize,
        shared: Shared,
        pulse: Arc<Pulse>,
        stop: watch::Receiver<bool>,
    ) -> JoinHandle<()> {
        thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                let runtime = invoke::runtime().expect("the system has a timer and a poller left");
                runtime.block_on(run(invoker, slots, shared, &pulse, stop));
                pulse.rest();
            })
            .expect("the system has a thread left")
    }

    /// Whether one more instance has room here.
    fn has_slot(&self) -> bool {
        self.slots.available_permits() > 0
    }

    /// Calls the handler when route, tenant, worker and host have room for it. With `patience` a call may wait for its
    /// turn beyond its deadline. What it has reserved of the host's memory comes back with the outcome: until that is where it
    /// should be, it is held.
    pub(super) async fn call(
        &self,
        bound: &Bound,
        request: Request<Bytes>,
        patience: Duration,
        attempts: &mut Attempts,
    ) -> (Result<Response<Bytes>, CallError>, Reserved) {
        let callable = &bound.handler.callable;
        // Held until the call has ended. None of these semaphores is ever closed.
        let waits = bound.quota.begin_waiting();
        let route = bound.route_slots.acquire().await.ok();
        let tenant = bound.quota.slots.acquire().await.ok();
        drop(waits);
        let memory = self.memory.reserve(bound.quota.share().tenant, callable.most_memory(&bound.limits)).await;
        // For every component of the chain at once: taken one by one, two chains could wait for each other.
        let slots = self.slots.acquire_many(callable.chain.len() as u32).await.ok();
        let _seat = Seat { permits: [route, tenant, slots], jobs: &self.jobs };
        let _in_flight = bound.activity.begin_call();
        let began = Instant::now();
        let limits = CallLimits { patience, ..bound.limits };
        let outcome = self.invoker.call_in(callable, request, &limits, bound.route.instances, attempts).await;
        if attempts.gave_up_reuse() {
            self.observer.gave_up_reuse(bound);
        }
        let result = match &outcome {
            Ok(response) => Ok(response.status().as_u16()),
            Err(CallError::Failed(failure)) => Err(failure.reason.as_str()),
            Err(CallError::Overload(_)) => Err("overload"),
        };
        self.observer.called(bound, result, began.elapsed());
        (outcome, memory)
    }
}

/// What a call holds. When it is given up, there may be room for another one.
struct Seat<'a> {
    permits: [Option<SemaphorePermit<'a>>; 3],
    jobs: &'a Jobs,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.permits = [const { None }; 3];
        self.jobs.made_room();
    }
}

/// Takes turns until `stop` says so or is dropped.
async fn run(invoker: Invoker, slots: usize, shared: Shared, pulse: &Pulse, mut stop: watch::Receiver<bool>) {
    let Shared { jobs, observer, memory } = shared;
    let mailbox = Arc::<Mailbox<Job>>::default();
    let executor = Executor::new(mailbox.clone(), invoker.waits().clone());
    let standing = executor.standing().clone();
    let worker =
        Rc::new(Worker { invoker, slots: Semaphore::new(slots), jobs: jobs.clone(), memory, observer, standing });
    let mut turns = Turns {
        worker,
        jobs,
        mailbox,
        executor,
        mail: Mail::default(),
        seen: None,
        invited: HashSet::new(),
        is_asleep: false,
    };
    tokio::select! {
        biased;
        _ = stop.changed() => {}
        // Outside tokio's own idea of fairness: a worker is one task to it, which has spent its budget after two records.
        () = unconstrained(poll_fn(|context| turns.take(context, pulse))) => {}
    }
}

/// What a worker does all day.
struct Turns {
    worker: Rc<Worker>,
    jobs: Arc<Jobs>,
    mailbox: Arc<Mailbox<Job>>,
    executor: Executor<Option<Job>, Job>,
    mail: Mail<Job>,
    // Lanes that wait for any worker: up to which news they have been looked at, and whose were found.
    seen: Option<u64>,
    invited: HashSet<TenantId>,
    is_asleep: bool,
}

impl Turns {
    /// Gives turns for a while, then has the runtime look at timers and sockets; sleeps when nobody waits for a turn.
    fn take(&mut self, context: &mut Context<'_>, pulse: &Pulse) -> Poll<()> {
        self.mailbox.wake_up(context.waker());
        self.wake_up();
        self.executor.come_back();
        let began = self.executor.now();
        pulse.beat(began);
        while self.executor.now() - began < VISIT {
            self.look_around();
            match self.executor.turn() {
                Turn::Taken(None) => {}
                Turn::Taken(Some(lane)) => {
                    lane.into_iter().for_each(|job| self.jobs.push(job));
                    // Room that it was about to take, if it was given up instead.
                    self.jobs.made_room();
                }
                Turn::Begin(tenant) => self.begin(tenant),
                Turn::None if self.fall_asleep() => {
                    pulse.rest();
                    return Poll::Pending;
                }
                Turn::None => {}
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Nobody wants a turn. Returns whether it may sleep.
    fn fall_asleep(&mut self) -> bool {
        // Without a slot there is nothing that it could be handed.
        if self.worker.has_slot() {
            if !self.jobs.fall_asleep(&self.mailbox) {
                self.seen = None;
                return false;
            }
            self.is_asleep = true;
        }
        self.mailbox.fall_asleep() || {
            self.wake_up();
            false
        }
    }

    fn wake_up(&mut self) {
        if std::mem::take(&mut self.is_asleep) {
            self.jobs.wake_up(&self.mailbox);
        }
    }

    /// Who else wants a turn by now.
    fn look_around(&mut self) {
        self.mailbox.collect(&mut self.mail);
        self.executor.wake(&mut self.mail);
        while let Some(job) = self.mail.handed.pop() {
            self.spawn(job);
        }
        if !self.worker.has_slot() {
            return;
        }
        let Self { jobs, executor, seen, invited, .. } = self;
        jobs.look(seen, |share| {
            if invited.insert(share.tenant) {
                executor.invite(share);
            }
        });
    }

    /// It is a tenant's turn, for whom lanes were waiting.
    fn begin(&mut self, tenant: TenantId) {
        self.invited.remove(&tenant);
        if !self.worker.has_slot() {
            // When it has one, it looks again.
            self.seen = None;
            return;
        }
        let Some((job, more)) = self.jobs.take(tenant) else { return };
        if more && self.invited.insert(tenant) {
            self.executor.invite(job.share);
        }
        self.spawn(job);
    }

    fn spawn(&mut self, job: Job) {
        let worker = self.worker.clone();
        self.executor.spawn(
            job.share,
            Box::pin(async move {
                let (partition, offset) = (job.partition.clone(), Cell::new(None));
                let emptied = AssertUnwindSafe(empty_lane(&worker, job, &offset)).catch_unwind().await;
                emptied.unwrap_or_else(|_| {
                    host_failed(&partition, offset.get());
                    None
                })
            }),
        );
    }
}

/// A panic is a defect of the host, and the next record may meet it too: the partition stands still, the others go on.
fn host_failed(partition: &Partition, offset: Option<i64>) {
    tracing::error!(
        target: "callgate::pipeline", code = "run.host-failed", partition = %partition.at, offset,
        "the partition stops: the host itself failed while this record was on its way, see the panic above. Nothing is \
         lost; please report it, and start the host again"
    );
    let record =
        offset.map_or_else(|| "one of its records".to_owned(), |offset| format!("its record of offset {offset}"));
    partition.stop_for_good(Stop::new(StopCause::HostFailed, format!("the host failed at {record}")));
}

/// Carries the lane's records one after another, until there are none or the partition is gone. Gives the lane back
/// where others wait for turns here, if another worker is idle or the lane has had its turns; and gets in line again
/// where the next call would have to wait for others of its route or tenant. `offset` is that of the record on its way.
async fn empty_lane(worker: &Worker, job: Job, offset: &Cell<Option<i64>>) -> Option<Job> {
    let (partition, standing, jobs) = (job.partition.clone(), &worker.standing, &worker.jobs);
    tokio::select! {
        biased;
        () = partition.fenced() => None,
        job = async {
            while let Some(held) = job.partition.next(&job.lane) {
                offset.set(Some(held.record.coordinate.offset));
                carry(worker, &job, held).await;
                let moves_on = standing.is_contended.get() && (jobs.is_wanted() || standing.used.get() >= LANE_TURN);
                if moves_on || (jobs.any_waits() && !job.has_room()) {
                    return Some(job);
                }
                if standing.turn_began.get().elapsed() >= SHORT_CALLS {
                    give_way().await;
                }
            }
            None
        } => job,
    }
}
