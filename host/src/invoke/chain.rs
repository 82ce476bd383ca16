//! One call: the components of a chain, outermost first, each in a store of its own.
//!
//! ```text
//! request ─▶ auth.wasm ─▶ milk.wasm ─▶ coffee.wasm      one future, one deadline, one CPU limit,
//! response ◀─           ◀─           ◀─                 one memory limit
//! ```
//!
//! A handler without middleware is a chain of one. Whichever component fails, the whole call ends so, at once, and the
//! failure names it: a component further out never learns of it and cannot make a 200 of it.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::Bytes;
use callgate_core::chain::Origin;
use callgate_core::limits::CallLimits;
use http::{Request, Response};

use super::memory::Budget;
use super::meter::{Meter, Overrun};
use super::next::{Call, Next, NextCalls};
use super::reuse::Choice;
use super::{CallError, Callable, Invoker, outcome};

/// All that the components of one call share.
pub(super) struct Chain<'a> {
    pub(super) invoker: &'a Invoker,
    pub(super) callable: &'a Arc<Callable>,
    pub(super) limits: &'a CallLimits,
    pub(super) meter: Arc<Meter>,
    pub(super) budget: Arc<Budget>,
    pub(super) choice: Choice,
    /// Whether a component was called in an instance that had served before.
    pub(super) reused: Cell<bool>,
    /// The position of the innermost component that has been called and has not ended.
    innermost: Cell<usize>,
}

impl<'a> Chain<'a> {
    pub(super) fn new(
        invoker: &'a Invoker,
        callable: &'a Arc<Callable>,
        limits: &'a CallLimits,
        meter: Arc<Meter>,
        choice: Choice,
    ) -> Self {
        let budget = Arc::new(Budget::new(limits.max_memory));
        Self { invoker, callable, limits, meter, budget, choice, reused: Cell::default(), innermost: Cell::default() }
    }

    /// Calls the outermost component.
    pub(super) async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, CallError> {
        if self.callable.chain.len() == 1 {
            return self.component(0, request, None).await;
        }
        let origin = Origin::of(&request);
        self.link(0, request, &origin).await
    }

    /// Calls the component at a position, and those behind it whenever it calls on.
    async fn link(
        &self,
        position: usize,
        request: Request<Bytes>,
        origin: &Origin,
    ) -> Result<Response<Bytes>, CallError> {
        self.innermost.set(position);
        let response = if position + 1 == self.callable.chain.len() {
            self.component(position, request, None).await?
        } else {
            let (next, mut calls) = NextCalls::new(self.callable.max_next_calls, self.limits, self.budget.clone());
            let call_on =
                |head, body| -> Call<'_> { Box::pin(self.link(position + 1, origin.next_request(head, body), origin)) };
            let mut guest = pin!(self.component(position, request, Some(next)));
            let mut response = None;
            poll_fn(|context| {
                if response.is_none()
                    && let Poll::Ready(ended) = guest.as_mut().poll(context)
                {
                    response = Some(ended?);
                }
                ready!(calls.poll(context, call_on)).map_err(|error| self.named(position, error))?;
                response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok::<_, CallError>(response)))
            })
            .await?
        };
        self.innermost.set(position.saturating_sub(1));
        Ok(response)
    }

    /// Calls one component.
    async fn component(
        &self,
        position: usize,
        request: Request<Bytes>,
        next: Option<Next>,
    ) -> Result<Response<Bytes>, CallError> {
        let called = self.invoker.call_component(self, position, request, next).await;
        called.map_err(|error| self.named(position, error))
    }

    /// The call as a whole took too long: that is the fault of the component that everybody waited for.
    pub(super) fn overrun(&self, overrun: Overrun) -> CallError {
        self.named(self.innermost.get(), outcome::overrun(overrun, self.limits))
    }

    /// A failure that says which component failed, where there are several and it does not say so yet.
    fn named(&self, position: usize, error: CallError) -> CallError {
        match error {
            CallError::Failed(mut failure) if self.callable.chain.len() > 1 && failure.component.is_none() => {
                let link = &self.callable.chain[position];
                failure.message = format!("{}: {}", link.name, failure.message);
                failure.component = Some(link.artifact.digest().clone());
                CallError::Failed(failure)
            }
            error => error,
        }
    }
}
