//! Room for calls, which tenants share such that none of them can hold all of it: the host's memory, a worker's instances.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callgate_core::budget::Budget;
use callgate_core::fair::TenantId;
use tokio::sync::oneshot;

/// See the module.
pub(super) struct Room(Mutex<State>);

struct State {
    /// For calls: what is not set aside.
    budget: Budget<Waiter>,
    size: u64,
    aside: u64,
}

struct Waiter {
    tenant: TenantId,
    amount: u64,
    granted: oneshot::Sender<Reserved>,
}

impl Room {
    /// So much for everything together: bytes of memory, or a number of instances.
    pub(super) fn new(size: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { budget: Budget::new(size), size, aside: 0 })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves room for a call, waiting until there is some. All that a call needs is reserved at once: calls that
    /// waited for a second part would wait for one another.
    pub(super) async fn reserve(self: &Arc<Self>, tenant: TenantId, amount: u64) -> Reserved {
        let granted = {
            let mut state = self.state();
            if state.budget.reserve(tenant, amount).is_ok() {
                return Reserved { room: self.clone(), tenant, amount };
            }
            let (granted, receiver) = oneshot::channel();
            state.budget.wait(tenant, amount, Waiter { tenant, amount, granted });
            receiver
        };
        // It is only dropped together with the room.
        granted.await.unwrap_or_else(|_| Reserved { room: self.clone(), tenant, amount: 0 })
    }

    /// Sets room aside for what is bounded by itself and not held by calls.
    pub(super) fn set_aside(self: &Arc<Self>, amount: u64) -> SetAside {
        self.resize(|state| state.aside += amount);
        SetAside { room: self.clone(), amount }
    }

    fn resize(self: &Arc<Self>, change: impl FnOnce(&mut State)) {
        let served = {
            let mut state = self.state();
            change(&mut state);
            let left = state.size.saturating_sub(state.aside);
            state.budget.resize(left)
        };
        self.grant(served);
    }

    fn give_back(self: &Arc<Self>, tenant: TenantId, amount: u64) {
        let served = self.state().budget.give_back(tenant, amount);
        self.grant(served);
    }

    fn grant(self: &Arc<Self>, served: Vec<Waiter>) {
        for Waiter { tenant, amount, granted } in served {
            // Whoever has given up waiting gives it back by dropping it.
            let _ = granted.send(Reserved { room: self.clone(), tenant, amount });
        }
    }
}

/// Room that a tenant holds, until this is dropped.
#[must_use = "dropped, it is not reserved"]
pub(super) struct Reserved {
    room: Arc<Room>,
    tenant: TenantId,
    amount: u64,
}

impl Reserved {
    /// Gives back all but so much.
    pub(super) fn shrink_to(&mut self, amount: u64) {
        let more = self.amount.saturating_sub(amount);
        self.amount -= more;
        self.room.give_back(self.tenant, more);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.room.give_back(self.tenant, self.amount);
    }
}

/// Room that is set aside, until this is dropped.
#[must_use = "dropped, it is not set aside"]
pub(super) struct SetAside {
    room: Arc<Room>,
    amount: u64,
}

impl SetAside {
    /// Sets aside more or less.
    pub(super) fn resize(&mut self, amount: u64) {
        let before = std::mem::replace(&mut self.amount, amount);
        self.room.resize(|state| state.aside = state.aside - before + amount);
    }
}

impl Drop for SetAside {
    fn drop(&mut self) {
        let amount = self.amount;
        self.room.resize(|state| state.aside -= amount);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn held(room: &Room) -> u64 {
        room.state().budget.held()
    }

    #[test]
    fn whoever_waits_goes_on_when_there_is_room() {
        let (room, mut context) = (Room::new(100), Context::from_waker(Waker::noop()));
        let Poll::Ready(mut first) = pin!(room.reserve(1, 80)).poll(&mut context) else { panic!("there is room") };
        let mut second = pin!(room.reserve(2, 50));
        assert!(second.as_mut().poll(&mut context).is_pending());
        first.shrink_to(10);
        assert!(second.as_mut().poll(&mut context).is_ready());
        drop(first);
        assert_eq!(held(&room), 0);
    }

    #[test]
    fn what_was_granted_to_somebody_who_gave_up_goes_back() {
        let (room, mut context) = (Room::new(100), Context::from_waker(Waker::noop()));
        let first = pin!(room.reserve(1, 80)).poll(&mut context);
        let mut second = Box::pin(room.reserve(2, 50));
        assert!(second.as_mut().poll(&mut context).is_pending());
        drop(second);
        drop(first);
        assert_eq!(held(&room), 0);
    }

    #[test]
    fn what_is_set_aside_is_not_there_for_calls() {
        let (room, mut context) = (Room::new(100), Context::from_waker(Waker::noop()));
        let mut buffers = room.set_aside(70);
        let _first = pin!(room.reserve(1, 25)).poll(&mut context);
        let mut second = pin!(room.reserve(2, 25));
        assert!(second.as_mut().poll(&mut context).is_pending());
        buffers.resize(20);
        assert!(second.as_mut().poll(&mut context).is_ready());
        drop(buffers);
        assert_eq!(room.state().budget.total(), 100);
    }
}
