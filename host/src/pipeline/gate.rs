//! The circuit breaker of a route, where records pass it: before each call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use callgate_core::breaker::{Breaker, BreakerPolicy, Change, Pass, Position};
use callgate_core::stop::{Stop, StopCause};

use super::bound::Bound;
use super::jobs::Job;
use super::unit::RecordUnit;

/// How long a record waits at most before it looks again: a new version may have come, or an operator.
const LOOK: Duration = Duration::from_secs(1);

/// A route's breaker, shared by all that call for it.
#[derive(Debug)]
pub(super) struct Gate {
    breaker: Mutex<Breaker>,
    made: Instant,
}

impl Gate {
    pub(super) fn new(policy: BreakerPolicy) -> Self {
        Self { breaker: Mutex::new(Breaker::new(policy)), made: Instant::now() }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, pass: Option<Pass>) -> Result<Pass, Duration> {
        self.breaker().admit(self.made.elapsed(), pass)
    }

    /// A record that had this pass has ended.
    pub(super) fn ended(&self, bound: &Bound, pass: Pass, is_dead_letter: bool) {
        match self.breaker().ended(self.made.elapsed(), pass, is_dead_letter) {
            Some(Change::Opened { dead, of }) => tracing::error!(
                target: "callgate::pipeline", code = "run.route-paused", handler = %bound.handler,
                operation = %bound.route.operation, dead_letters = dead, of,
                "a route is paused by its circuit breaker: nearly all its records become dead letters. They wait from now on; \
                 deploy a version that is mended, or let it go on with SIGHUP"
            ),
            Some(Change::Closed) => tracing::info!(
                target: "callgate::pipeline", handler = %bound.handler, operation = %bound.route.operation,
                "a route goes on: the records that were tried did not become dead letters"
            ),
            None => {}
        }
    }

    /// Whether the breaker is open, or tries a few records to see whether it still should be.
    pub(super) fn has_open_breaker(&self) -> bool {
        self.breaker().position() != Position::Closed
    }

    /// Lets records pass: an operator says so.
    pub(super) fn open(&self) {
        self.breaker().close();
    }
}

/// Waits until the handler may be called for the record, on the version that is current then. Returns whether that is
/// another one than before; `None`: there is none any more, or the partition is being given up.
pub(super) async fn pass(job: &Job, unit: &mut RecordUnit) -> Option<bool> {
    let mut other_version = false;
    let mut waited = false;
    while let Some(gate) = unit.bound.gate.clone() {
        // A pass is one of the version that gave it.
        let before = unit.pass.take().filter(|(from, _)| Arc::ptr_eq(from, &gate)).map(|(_, pass)| pass);
        match gate.admit(before) {
            Ok(pass) => {
                unit.pass = Some((gate, pass));
                break;
            }
            Err(wait) => {
                waited = true;
                let reason = format!("the circuit breaker of {} is open", unit.bound.handler);
                job.partition.stop(Stop::new(StopCause::RoutePaused, reason));
                tokio::time::sleep(wait.min(LOOK)).await;
            }
        }
        if job.partition.is_leaving() {
            return None;
        }
        let bound = job.routes.get(&unit.record.coordinate.topic)?;
        other_version |= !Arc::ptr_eq(&unit.bound.handler, &bound.handler);
        unit.bound = bound;
    }
    if waited {
        job.partition.go_on();
    }
    Some(other_version)
}
