//! What a publisher has to wake and to drop when it holds no lock any more.

use std::task::Waker;

use super::received::Received;
use crate::unwind::catch_user_panic;

#[derive(Debug)]
pub(crate) struct Deferred<M> {
    pub(crate) wakers: Vec<Waker>,
    pub(crate) messages: Vec<Received<M>>,
}

impl<M> Default for Deferred<M> {
    fn default() -> Self {
        Self {
            wakers: Vec::new(),
            messages: Vec::new(),
        }
    }
}

impl<M> Deferred<M> {
    /// Not under a lock. Those who sleep come first.
    #[inline]
    pub(crate) fn clear(&mut self) {
        if !self.wakers.is_empty() || !self.messages.is_empty() {
            self.wake_and_drop();
        }
    }

    fn wake_and_drop(&mut self) {
        for waker in self.wakers.drain(..) {
            catch_user_panic(|| waker.wake());
        }
        for message in self.messages.drain(..) {
            catch_user_panic(|| drop(message));
        }
    }
}
