//! Bodies on their way out and in: streamed, and within the tenant's limits.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use super::failure::{Failure, TooLarge};
use super::pool::{Connection, Pool, Slot};

/// What a guest sends.
pub(super) struct RequestBody {
    body: WasiBody,
    limit: usize,
    left: usize,
}

impl RequestBody {
    pub(super) fn new(body: WasiBody, limit: usize) -> Self {
        Self { body, limit, left: limit }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            None => Poll::Ready(Some(Err(TooLarge(self.limit).into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a guest receives. It holds the connection until its end; dropped before, it closes it.
pub(super) struct ResponseBody {
    body: Incoming,
    limit: usize,
    left: usize,
    lease: Option<Lease>,
    between: Option<(Duration, Pin<Box<Sleep>>)>,
}

/// A connection while it is used, and where it goes afterwards.
pub(super) struct Lease {
    pub(super) pool: Arc<Pool>,
    pub(super) destination: usize,
    pub(super) connection: Connection,
    pub(super) slot: Slot,
    pub(super) runtime: Handle,
}

impl Lease {
    fn give_back(self) {
        // The body's end may be seen on a worker, and the connection lives elsewhere.
        let _in_runtime = self.runtime.enter();
        self.pool.keep(self.destination, self.connection, self.slot);
    }
}

impl ResponseBody {
    /// `between` is how long the guest waits between two pieces.
    pub(super) fn new(body: Incoming, limit: usize, lease: Lease, between: Option<Duration>) -> Self {
        let between = between.map(|between| (between, Box::pin(sleep(between))));
        let mut body = Self { body, limit, left: limit, lease: Some(lease), between };
        body.give_back_at_the_end();
        body
    }

    /// A guest that has read all that there is need not ask for more.
    fn give_back_at_the_end(&mut self) {
        if self.body.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }

    fn received(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let Some(left) = self.left.checked_sub(bytes) else {
            self.lease = None;
            return Err(Error::HttpResponseBodySize(Some(self.limit as u64)));
        };
        self.left = left;
        if let Some((between, timer)) = &mut self.between {
            timer.as_mut().reset(Instant::now() + *between);
        }
        self.give_back_at_the_end();
        Ok(frame)
    }

    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        self.between.as_mut().is_some_and(|(_, timer)| timer.as_mut().poll(context).is_ready())
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        Poll::Ready(match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => Some(this.received(frame)),
            Poll::Ready(Some(Err(error))) => {
                this.lease = None;
                Some(Err(Failure::exchanging(&error).error))
            }
            Poll::Ready(None) => {
                this.give_back_at_the_end();
                None
            }
            Poll::Pending if this.is_late(context) => {
                this.lease = None;
                Some(Err(Error::ConnectionReadTimeout))
            }
            Poll::Pending => return Poll::Pending,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
