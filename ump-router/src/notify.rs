//! Notifies all waiters that something has changed.
//!
//! ```text
//!     notified                notify_waiters, polled
//!  ──────────────► waiting ────────────────────────────► done
//!                    │ dropped, notified or not
//!                    └──► gone
//! ```
//!
//! # Invariants
//!
//! 1. A waiter in the table has not been notified. `notify_waiters` takes all waiters out, so a
//!    waiter that is not in the table was notified.
//! 2. No user code runs under the lock: wakers are cloned before and dropped after. They are
//!    returned to the notifier, which may hold other locks.
//!
//! To lose no wake-up, register first (`notified`), then look whether there is something to wait
//! for.

use std::{
    collections::BTreeMap,
    future::Future,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use crate::{deferred::DeferredWakes, sync::Mutex};

#[derive(Debug)]
#[cfg_attr(not(loom), derive(Default))]
pub(crate) struct Notify(Mutex<WaitSet>);

#[derive(Debug, Default)]
struct WaitSet {
    /// By number, in the order in which they came. A waiter that was not polled yet has no waker.
    wakers: BTreeMap<u64, Option<Waker>>,
    next: u64,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(WaitSet::default()))
    }

    /// Registers a waiter, by a reference of whichever kind.
    pub(crate) fn notified<N: Deref<Target = Self> + Unpin>(notify: N) -> Notified<N> {
        let mut waiters = notify.0.lock();
        let number = waiters.next;
        waiters.next += 1;
        waiters.wakers.insert(number, None);
        drop(waiters);
        Notified {
            notify,
            number,
            is_done: false,
        }
    }

    /// Notifies all waiters. Returns the wakers of those that sleep.
    pub(crate) fn notify_waiters(&self) -> DeferredWakes {
        let notified = std::mem::take(&mut self.0.lock().wakers);
        notified.into_values().flatten().collect()
    }
}

/// Is ready once it was notified.
#[derive(Debug)]
#[must_use = "a waiter that does not wait need not be registered"]
pub(crate) struct Notified<N: Deref<Target = Notify> + Unpin> {
    notify: N,
    number: u64,
    is_done: bool,
}

impl<N: Deref<Target = Notify> + Unpin> Future for Notified<N> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut waiters = self.notify.0.lock();
        if let Some(stored) = waiters.wakers.get_mut(&self.number) {
            let former = stored.replace(waker);
            drop(waiters);
            drop(former);
            return Poll::Pending;
        }
        drop(waiters);
        self.is_done = true;
        Poll::Ready(())
    }
}

impl<N: Deref<Target = Notify> + Unpin> Drop for Notified<N> {
    fn drop(&mut self) {
        if !self.is_done {
            let own = self.notify.0.lock().wakers.remove(&self.number);
            drop(own);
        }
    }
}
