//! Waiting until something has changed: who waits is called, and all are called at once.
//!
//! ```text
//!     listen               call, polled
//!  ──────────► listening ───────────────► done
//!                  │ dropped, called or not
//!                  └──► gone
//! ```
//!
//! # Invariants
//!
//! 1. Who is among those that listen has not been called. A call takes everybody out, so whoever is not found there has been called.
//! 2. No code of the user's runs under the lock: wakers are cloned before and dropped after. They are given to who calls, who may hold other locks.
//!
//! To lose no wake-up, listen first, then look whether it is worth waiting.

use std::{
    collections::BTreeMap,
    future::Future,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use crate::sync::Mutex;

#[derive(Debug)]
pub(crate) struct Notify(Mutex<Waiters>);

#[derive(Debug, Default)]
struct Waiters {
    /// By their numbers, in the order in which they came. Who has not been polled yet has no waker.
    wakers: BTreeMap<u64, Option<Waker>>,
    next: u64,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Waiters::default()))
    }

    /// Listens from now on, by a reference of whichever kind.
    pub(crate) fn notified<S: Deref<Target = Self> + Unpin>(signal: S) -> Notified<S> {
        let mut waiters = signal.0.lock();
        let number = waiters.next;
        waiters.next += 1;
        waiters.wakers.insert(number, None);
        drop(waiters);
        Notified {
            signal,
            number,
            is_done: false,
        }
    }

    /// Calls everybody.
    #[must_use = "who sleeps is to be woken, when no lock is held"]
    pub(crate) fn notify_waiters(&self) -> impl Iterator<Item = Waker> + use<> {
        let called = std::mem::take(&mut self.0.lock().listening);
        called.into_values().flatten()
    }
}

/// Is ready when it was called.
#[derive(Debug)]
#[must_use = "who does not wait need not listen"]
pub(crate) struct Notified<S: Deref<Target = Notify> + Unpin> {
    signal: S,
    number: u64,
    is_done: bool,
}

impl<S: Deref<Target = Notify> + Unpin> Future for Notified<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut waiters = self.signal.0.lock();
        if let Some(place) = waiters.wakers.get_mut(&self.number) {
            let former = place.replace(waker);
            drop(waiters);
            drop(former);
            return Poll::Pending;
        }
        drop(waiters);
        self.is_done = true;
        Poll::Ready(())
    }
}

impl<S: Deref<Target = Notify> + Unpin> Drop for Notified<S> {
    fn drop(&mut self) {
        if !self.is_done {
            let own = self.signal.0.lock().listening.remove(&self.number);
            drop(own);
        }
    }
}
