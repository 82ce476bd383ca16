//! Whether the instances of a version bear being used again. Not every component does: some runtimes trap the second time,
//! or wait for ever. So it is found out before any record meets it, and not trusted.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callgate_core::limits::CallLimits;
use callgate_core::route::Instances;
use http::Request;

use super::trial::{PATIENCE, Trial, TrialError};
use super::{Attempts, CallError, Callable, LogBudget, Outbound, Reuse};

/// Calls in one instance.
const CALLS: u32 = 3;

/// How long one of them may take, at most: other versions wait meanwhile.
const DEADLINE: Duration = Duration::from_secs(5);

/// What came of a probe that refuses nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// All calls were answered by one instance.
    Passed,
    /// Nothing was found out, for that reason: a request made up by the host is not always one that a handler answers.
    Inconclusive(String),
}

impl Trial {
    /// Calls a version three times in one instance with the request that is made up for it. Whom it calls meanwhile is denied,
    /// what it answers and logs goes nowhere.
    ///
    /// # Errors
    ///
    /// Where the instance answered first, and failed later.
    pub fn reuse(
        &self,
        callable: &Callable,
        limits: &CallLimits,
        request: impl Fn() -> Request<Bytes>,
    ) -> Result<Probe, TrialError> {
        let callable = Arc::new(callable.apart());
        let limits = CallLimits { deadline: limits.deadline.min(DEADLINE), patience: PATIENCE, ..*limits };
        let probed = self.runtime.block_on(self.probe(&callable, &limits, request));
        self.invoker.evict_idle();
        probed
    }

    async fn probe(
        &self,
        callable: &Arc<Callable>,
        limits: &CallLimits,
        request: impl Fn() -> Request<Bytes>,
    ) -> Result<Probe, TrialError> {
        for number in 1..=CALLS {
            let mut attempts = Attempts::default();
            let reuse = Instances::Reuse { records: CALLS };
            let ended = self.invoker.call_in(callable, request(), limits, reuse, &mut attempts).await;
            match ended {
                Err(error @ CallError::Overload(_)) => return Err(TrialError::not_now(&error)),
                Err(CallError::Failed(failure)) if attempts.was_reused() => {
                    return Err(TrialError::Refused(format!(
                        "of {CALLS} calls in one instance the first was answered, and number {number} was not: {}",
                        failure.message
                    )));
                }
                Err(CallError::Failed(failure)) => return Ok(Probe::Inconclusive(failure.message)),
                // An instance that has sent a 5xx is not used again.
                Ok(response) if response.status().is_server_error() => {
                    return Ok(Probe::Inconclusive(format!("the answer was {}", response.status())));
                }
                Ok(_) => {}
            }
        }
        Ok(Probe::Passed)
    }
}

impl Callable {
    /// The same components in the same environment, cut off from everything else.
    fn apart(&self) -> Self {
        Self {
            tenant: self.tenant.clone(),
            handler: self.handler.clone(),
            chain: self.chain.clone(),
            max_next_calls: self.max_next_calls,
            env: self.env.clone(),
            log: Arc::new(LogBudget::closed()),
            outbound: Arc::new(Outbound::closed()),
            reuse: Reuse::default(),
        }
    }
}
