//! Wakers of connections: a reply of the store, or room in its queue, brings a connection back to
//! its loop.
//!
//! The store's thread calls the waker. It adds the connection to a list, and the first one in the
//! list posts a message to the loop. So a batch of replies costs one message.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Wake,
};

use ump::WeakClient;
use ump_server::net::SocketId;

use crate::gateway::{Never, Request};

/// The connections of a loop that were woken.
#[derive(Debug)]
pub(crate) struct Wakes {
    woken: Mutex<Vec<SocketId>>,
    gateway: WeakClient<Request, (), Never>,
}

impl Wakes {
    pub(crate) fn new(gateway: WeakClient<Request, (), Never>) -> Arc<Self> {
        Arc::new(Self {
            woken: Mutex::default(),
            gateway,
        })
    }

    /// Returns the connections that were woken since the last call.
    pub(crate) fn take(&self) -> Vec<SocketId> {
        mem::take(&mut *self.woken())
    }

    fn woken(&self) -> MutexGuard<'_, Vec<SocketId>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The waker of a connection.
#[derive(Debug)]
pub(crate) struct ConnectionWaker {
    id: SocketId,
    is_woken: AtomicBool,
    wakes: Arc<Wakes>,
}

impl ConnectionWaker {
    pub(crate) fn new(id: SocketId, wakes: &Arc<Wakes>) -> Arc<Self> {
        Arc::new(Self {
            id,
            is_woken: AtomicBool::new(false),
            wakes: Arc::clone(wakes),
        })
    }

    /// Allows the next wake-up, before the connection looks at its replies.
    pub(crate) fn rearm(&self) {
        // ORDERING: pairs with the swap in `wake_by_ref`: what was ready before a wake-up that is
        // skipped is seen by the polls that follow.
        self.is_woken.swap(false, Ordering::AcqRel);
    }
}

impl Wake for ConnectionWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // ORDERING: pairs with the swap in `rearm`.
        if self.is_woken.swap(true, Ordering::AcqRel) {
            return;
        }
        let is_first = {
            let mut woken = self.wakes.woken();
            woken.push(self.id);
            woken.len() == 1
        };
        if let (true, Some(gateway)) = (is_first, self.wakes.gateway.upgrade()) {
            // The queue has no limit, so it does not block. An error means that the loop has ended.
            let _ = gateway.post(Request::Woken).wait();
        }
    }
}
