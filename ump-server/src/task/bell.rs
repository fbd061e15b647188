//! Wakes a loop's task from elsewhere: for a timer that is earlier than what it sleeps for.
//!
//! The loop listens before it looks until when to sleep; whoever arms a timer rings after it is armed. So either the loop sees the timer, or
//! whoever rings sees the loop's waker.

use std::task::Waker;

use crate::sync::Mutex;

#[derive(Debug, Default)]
pub(super) struct Bell(Mutex<Option<Waker>>);

impl Bell {
    /// From now on it wakes this one, until it has rung.
    pub(super) fn listen(&self, waker: &Waker) {
        let is_there =
            |known: &Option<Waker>| known.as_ref().is_some_and(|known| known.will_wake(waker));
        if is_there(&self.0.lock()) {
            return;
        }
        let waker = waker.clone();
        let replaced = self.0.lock().replace(waker);
        drop(replaced);
    }

    pub(super) fn ring(&self) {
        let waker = self.0.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
