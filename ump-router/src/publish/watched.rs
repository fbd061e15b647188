//! The state that a watch and its bus share: the number of subscriptions.
//!
//! A watch counts the subscriptions that it intersects. Whoever adds or removes a subscription, or
//! disconnects one, updates the watches under the lock of the bus, so that a watch misses none and
//! counts none twice. Publishing does not touch them.
//!
//! # Invariants
//!
//! 1. `count` is the number of patterns of subscriptions on the bus that intersect the watched one
//!    and are not disconnected.
//! 2. `version` counts how often `count` left zero or came to zero. So the owner has something to
//!    look at exactly if the version is not the one that it saw last.
//! 3. While the owner sleeps, its waker is stored. Whoever raises the version, or closes the bus,
//!    takes it out and wakes it.
//! 4. No user code runs under the lock: wakers are cloned before, woken and dropped after.

use std::task::{Context, Poll, Waker};

use ump::internal::catch_user_panic;

use super::recv_error::RecvError;
use crate::{deferred::DeferredWakes, sync::Mutex, topic::Pattern};

/// A watch, as its bus sees it.
#[derive(Debug)]
pub(super) struct Watched {
    pattern: Pattern,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    count: usize,
    version: u64,
    is_closed: bool,
    /// The waker of the owner, while it sleeps.
    owner: Option<Waker>,
}

impl Watched {
    /// A watch of a pattern that intersects this number of patterns of subscriptions.
    pub(super) fn new(pattern: Pattern, count: usize) -> Self {
        let state = State {
            count,
            version: u64::from(count > 0),
            ..State::default()
        };
        Self {
            pattern,
            state: Mutex::new(state),
        }
    }

    pub(super) fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Counts one pattern of a subscription more.
    pub(super) fn add(&self, wakes: &mut DeferredWakes) {
        let mut state = self.state.lock();
        state.count += 1;
        if state.count == 1 {
            state.changed(wakes);
        }
    }

    /// Counts one pattern of a subscription less.
    pub(super) fn remove(&self, wakes: &mut DeferredWakes) {
        let mut state = self.state.lock();
        state.count -= 1;
        if state.count == 0 {
            state.changed(wakes);
        }
    }

    pub(super) fn close(&self, wakes: &mut DeferredWakes) {
        let mut state = self.state.lock();
        state.is_closed = true;
        wakes.extend(state.owner.take());
    }

    pub(super) fn has_subscribers(&self) -> bool {
        let state = self.state.lock();
        state.count > 0 && !state.is_closed
    }

    pub(super) fn poll_changed(
        &self,
        seen: &mut u64,
        cx: Option<&Context<'_>>,
    ) -> Poll<Result<bool, RecvError>> {
        let changed = self.state.lock().take_change(seen);
        let (Poll::Pending, Some(cx)) = (&changed, cx) else {
            return changed;
        };
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        let changed = state.take_change(seen);
        let unneeded = if changed.is_pending() {
            state.owner.replace(waker)
        } else {
            Some(waker)
        };
        drop(state);
        catch_user_panic(|| drop(unneeded));
        changed
    }

    pub(super) fn remove_waker(&self) {
        let waker = self.state.lock().owner.take();
        catch_user_panic(|| drop(waker));
    }
}

impl State {
    /// Takes the change that the owner has not seen, or the end.
    fn take_change(&mut self, seen: &mut u64) -> Poll<Result<bool, RecvError>> {
        if self.is_closed {
            Poll::Ready(Err(RecvError::Closed))
        } else if self.version != *seen {
            *seen = self.version;
            Poll::Ready(Ok(self.count > 0))
        } else {
            Poll::Pending
        }
    }

    fn changed(&mut self, wakes: &mut DeferredWakes) {
        self.version += 1;
        wakes.extend(self.owner.take());
    }
}
