//! The wakers and values that a publisher wakes and drops once it holds no lock.

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
        let _ = self.run_checked();
    }

    /// The same. Returns false if a waker has panicked: its task may sleep on.
    #[inline]
    #[must_use = "another task may have to be woken instead"]
    pub(crate) fn run_checked(&mut self) -> bool {
        if self.wakers.is_empty() && self.messages.is_empty() {
            return true;
        }
        self.wake_and_drop()
    }

    fn wake_and_drop(&mut self) -> bool {
        let all_woken = self.wakers.wake_all_checked();
        for message in self.messages.drain(..) {
            catch_user_panic(|| drop(message));
        }
        all_woken
    }
}
