//! Waiting until something has changed: who waits is called, one by one or all at once.
//!
//! ```text
//!      listen             call, polled
//!   ──────────► in line ───────────────► done
//!                  │ dropped     │ dropped before it was polled: the next in line is called instead
//!                  └──► gone     └──► gone
//! ```
//!
//! # Invariants
//!
//! 1. Who is in line has not been called. A call takes the first one out, so whoever is not found there has been called.
//! 2. A call that is not seen by the one it was for goes to the next.
//! 3. No code of the user's runs under the lock: wakers are cloned before and dropped after. They are given to who calls, who may hold other locks.
//!
//! To lose no wake-up, listen first, then look whether it is worth waiting.

use std::{
    collections::BTreeMap,
    future::Future,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use crate::{shield::shielded, sync::Mutex};

#[derive(Debug)]
pub(crate) struct Signal(Mutex<Line>);

#[derive(Debug, Default)]
struct Line {
    /// By their numbers, in the order in which they came. Who has not been polled yet has no waker.
    waiting: BTreeMap<u64, Option<Waker>>,
    next: u64,
}

impl Signal {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Line::default()))
    }

    /// Gets in line, by a reference of whichever kind.
    pub(crate) fn listen<S: Deref<Target = Self> + Unpin>(signal: S) -> Listener<S> {
        let mut line = signal.0.lock();
        let number = line.next;
        line.next += 1;
        line.waiting.insert(number, None);
        drop(line);
        Listener {
            signal,
            number,
            is_done: false,
        }
    }

    /// Calls the first in line.
    #[must_use = "who sleeps is to be woken, when no lock is held"]
    pub(crate) fn call_one(&self) -> Option<Waker> {
        let (_, waker) = self.0.lock().waiting.pop_first()?;
        waker
    }

    /// Calls everybody.
    #[must_use = "who sleeps is to be woken, when no lock is held"]
    pub(crate) fn call_all(&self) -> impl Iterator<Item = Waker> + use<> {
        let called = std::mem::take(&mut self.0.lock().waiting);
        called.into_values().flatten()
    }
}

/// Is ready when it was called.
#[derive(Debug)]
#[must_use = "who does not wait need not listen"]
pub(crate) struct Listener<S: Deref<Target = Signal> + Unpin> {
    signal: S,
    number: u64,
    is_done: bool,
}

impl<S: Deref<Target = Signal> + Unpin> Future for Listener<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut line = self.signal.0.lock();
        if let Some(place) = line.waiting.get_mut(&self.number) {
            let former = place.replace(waker);
            drop(line);
            drop(former);
            return Poll::Pending;
        }
        drop(line);
        self.is_done = true;
        Poll::Ready(())
    }
}

impl<S: Deref<Target = Signal> + Unpin> Drop for Listener<S> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let own = self.signal.0.lock().waiting.remove(&self.number);
        if own.is_some() {
            return;
        }
        if let Some(waker) = self.signal.call_one() {
            shielded(|| waker.wake());
        }
    }
}
