//! A tenant's connections, used again and again, and bounded in number.
//!
//! A slot is held from before a request is sent until its response has been read. Idle connections hold none, and give way
//! to a new one where all of the tenant's connections together would be more than its slots.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::body::RequestBody;

/// How long a connection is kept that nobody uses: less than servers and balancers commonly do.
const IDLE: Duration = Duration::from_secs(15);

/// A connection. Dropping it closes it at once, whatever is still on its way.
pub(super) struct Connection {
    pub(super) sender: SendRequest<RequestBody>,
    driver: JoinHandle<()>,
}

impl Connection {
    pub(super) fn new(sender: SendRequest<RequestBody>, driver: JoinHandle<()>) -> Self {
        Self { sender, driver }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The right to use one connection.
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
}

/// See the module.
pub(super) struct Pool {
    size: usize,
    slots: Arc<Semaphore>,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// The oldest first.
    connections: VecDeque<Kept>,
    /// Whether somebody sees to it that they do not grow too old.
    swept: bool,
}

struct Kept {
    destination: usize,
    connection: Connection,
    since: Instant,
}

impl Pool {
    pub(super) fn new(size: usize) -> Self {
        let size = size.min(Semaphore::MAX_PERMITS);
        Self { size, slots: Arc::new(Semaphore::new(size)), idle: Mutex::default() }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the right to use a connection.
    pub(super) async fn slot(&self) -> Slot {
        Slot { _permit: self.slots.clone().acquire_owned().await.expect("the semaphore is never closed") }
    }

    /// An idle connection, the one that was used last.
    pub(super) fn take(&self, destination: usize, _: &Slot) -> Option<Connection> {
        let connections = &mut self.idle().connections;
        connections.retain(|kept| !kept.connection.sender.is_closed());
        let found = connections.iter().rposition(|kept| kept.destination == destination)?;
        connections.remove(found).map(|kept| kept.connection)
    }

    /// Makes room for a connection that is about to be dialled.
    pub(super) fn make_room(&self, _: &Slot) {
        let used = self.size - self.slots.available_permits();
        let connections = &mut self.idle().connections;
        let surplus = (connections.len() + used).saturating_sub(self.size);
        connections.drain(..surplus.min(connections.len()));
    }

    /// Keeps a connection whose response has been read, once it can be used again.
    pub(super) fn keep(self: Arc<Self>, destination: usize, mut connection: Connection, slot: Slot) {
        tokio::spawn(async move {
            // An error is a connection that the server does not keep.
            if connection.sender.ready().await.is_err() {
                return;
            }
            let mut idle = self.idle();
            idle.connections.push_back(Kept { destination, connection, since: Instant::now() });
            drop(slot);
            if !std::mem::replace(&mut idle.swept, true) {
                tokio::spawn(sweep(Arc::downgrade(&self)));
            }
        });
    }

    /// Closes what is too old, and says when the next one will be.
    fn expire(&self) -> Option<Instant> {
        let mut idle = self.idle();
        while idle.connections.front().is_some_and(|oldest| oldest.since.elapsed() >= IDLE) {
            idle.connections.pop_front();
        }
        let next = idle.connections.front().map(|oldest| oldest.since + IDLE);
        idle.swept = next.is_some();
        next
    }
}

/// Closes connections that nobody has used for long, until there are none.
async fn sweep(pool: Weak<Pool>) {
    let mut next = Instant::now() + IDLE;
    loop {
        tokio::time::sleep_until(next.into()).await;
        let Some(due) = pool.upgrade().and_then(|pool| pool.expire()) else { return };
        next = due;
    }
}
