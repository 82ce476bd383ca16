//! A worker: a thread with a runtime and an engine of its own, on which lanes are emptied and guests run.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use bytes::Bytes;
use futures::FutureExt;
use http::{Request, Response};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{spawn_local, yield_now};

use super::bound::Bound;
use super::carry;
use super::jobs::{Job, Jobs};
use super::observe::Observer;
use crate::consume::Partition;
use crate::invoke::{self, Attempts, CallError, Invoker};

/// What all workers share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) jobs: Arc<Jobs>,
    pub(super) observer: Arc<dyn Observer>,
    /// The host's memory for calls, in MiB: each call reserves what its tenant allows it.
    pub(super) memory: Arc<Semaphore>,
}

/// See the module.
pub(super) struct Worker {
    invoker: Invoker,
    slots: Semaphore,
    memory: Arc<Semaphore>,
    pub(super) observer: Arc<dyn Observer>,
    lanes: Cell<usize>,
    // The last of its lanes has ended.
    emptied: Notify,
}

impl Worker {
    /// Starts the worker's thread; it ends when `stop` says so or is dropped.
    pub(super) fn start(
        index: usize,
        invoker: Invoker,
        slots: usize,
        shared: Shared,
        stop: watch::Receiver<bool>,
    ) -> JoinHandle<()> {
        thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                let runtime = invoke::runtime().expect("the system has a timer and a poller left");
                runtime.block_on(run(invoker, slots, shared, stop));
            })
            .expect("the system has a thread left")
    }

    /// Calls the handler when route, tenant, worker and host have room for it.
    pub(super) async fn call(
        &self,
        bound: &Bound,
        request: Request<Bytes>,
        attempts: &mut Attempts,
    ) -> Result<Response<Bytes>, CallError> {
        // Held until the call has ended. None of these semaphores is ever closed.
        let _route = bound.route_slots.acquire().await;
        let _tenant = bound.tenant_slots.acquire().await;
        // For every component of the chain at once: taken one by one, two chains could wait for each other.
        let _worker = self.slots.acquire_many(bound.handler.callable.chain.len() as u32).await;
        let _memory = self.memory.acquire_many(mebibytes(bound.limits.max_memory)).await;
        let began = Instant::now();
        let callable = &bound.handler.callable;
        let outcome = self.invoker.call_in(callable, request, &bound.limits, bound.route.instances, attempts).await;
        if attempts.gave_up_reuse() {
            self.observer.gave_up_reuse(bound);
        }
        let result = match &outcome {
            Ok(response) => Ok(response.status().as_u16()),
            Err(CallError::Failed(failure)) => Err(failure.reason.as_str()),
            Err(CallError::Overload(_)) => Err("overload"),
        };
        self.observer.called(bound, result, began.elapsed());
        outcome
    }
}

async fn run(invoker: Invoker, slots: usize, shared: Shared, mut stop: watch::Receiver<bool>) {
    let worker = Rc::new(Worker {
        invoker,
        slots: Semaphore::new(slots),
        memory: shared.memory,
        observer: shared.observer,
        lanes: Cell::new(0),
        emptied: Notify::new(),
    });
    loop {
        let busy = worker.lanes.get() > 0;
        let job = tokio::select! {
            job = shared.jobs.pop(busy) => job,
            // From now on it waits as one that is idle.
            () = worker.emptied.notified() => continue,
            _ = stop.changed() => return,
        };
        worker.lanes.set(worker.lanes.get() + 1);
        let (worker, jobs) = (worker.clone(), shared.jobs.clone());
        spawn_local(async move {
            let partition = job.partition.clone();
            match AssertUnwindSafe(empty_lane(&worker, &jobs, job)).catch_unwind().await {
                Ok(Some(job)) => jobs.push(job),
                Ok(None) => {}
                Err(_) => host_failed(&partition),
            }
            worker.lanes.set(worker.lanes.get() - 1);
            if worker.lanes.get() == 0 {
                worker.emptied.notify_one();
            }
        });
    }
}

/// A panic is a defect of the host, and the next record may meet it too: the partition stands still, the others go on.
fn host_failed(partition: &Partition) {
    tracing::error!(
        target: "callgate::pipeline", code = "run.host-failed", partition = %partition.at,
        "the partition stops: the host itself failed while a record of it was on its way, see the panic above. Nothing \
         is lost; please report it, and start the host again"
    );
    partition.stop_for_good("the host failed at one of its records".to_owned());
}

/// Carries the lane's records one after another, until there are none or the partition is gone. Gives the lane back
/// where another worker is idle and this one has more to do.
async fn empty_lane(worker: &Worker, jobs: &Jobs, job: Job) -> Option<Job> {
    let partition = job.partition.clone();
    tokio::select! {
        biased;
        () = partition.fenced() => None,
        job = async {
            while let Some(held) = job.partition.next(&job.lane) {
                carry(worker, &job, held).await;
                if worker.lanes.get() > 1 && jobs.is_wanted() {
                    return Some(job);
                }
                // The other lanes of this worker have their turn after each record.
                yield_now().await;
            }
            None
        } => job,
    }
}

fn mebibytes(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX)
}
