//! What a publisher wakes and drops once it holds no lock.

use ump::internal::catch_user_panic;

use super::received::Received;
use crate::deferred::DeferredWakes;

/// Wakers to be woken, and messages to be dropped, when every lock is released.
#[derive(Debug)]
#[must_use = "to be run when no lock is held"]
pub(crate) struct Deferred<M> {
    pub(crate) wakers: DeferredWakes,
    pub(crate) messages: Vec<Received<M>>,
}

impl<M> Default for Deferred<M> {
    fn default() -> Self {
        Self {
            wakers: DeferredWakes::default(),
            messages: Vec::new(),
        }
    }
}

impl<M> Deferred<M> {
    /// Wakes the wakers, then drops the messages. No lock may be held.
    #[inline]
    pub(crate) fn run(&mut self) {
        if !self.wakers.is_empty() || !self.messages.is_empty() {
            self.wake_and_drop();
        }
    }

    fn wake_and_drop(&mut self) {
        self.wakers.wake_all();
        for message in self.messages.drain(..) {
            catch_user_panic(|| drop(message));
        }
    }
}
