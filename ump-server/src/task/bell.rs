//! Wakes a loop's task from elsewhere: for a timer that is earlier than what it sleeps for.
//!
//! The loop listens before it looks until when to sleep; whoever arms a timer rings after it is armed. So either the loop sees the timer, or
//! whoever rings sees the loop's waker.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    task::Waker,
};

use crate::sync::Mutex;

#[derive(Debug, Default)]
pub(super) struct Bell {
    waker: Mutex<Option<Waker>>,
    /// How often it has rung. Raised after the waker was taken out.
    rings: AtomicUsize,
}

/// What a loop knows of its bell, so that it need not take the lock each time it waits.
#[derive(Debug, Default)]
pub(super) struct Listening(Option<(Waker, usize)>);

impl Bell {
    /// From now on it wakes this one, until it has rung.
    #[inline]
    pub(super) fn listen(&self, known: &mut Listening, waker: &Waker) {
        // That it is ringing right now may not be seen here. Then the waker that is known is woken, which is this one.
        let rings = self.rings.load(Ordering::Relaxed);
        if let Listening(Some((known, rung))) = known {
            if *rung == rings && known.will_wake(waker) {
                return;
            }
        }
        self.replace(waker);
        known.0 = Some((waker.clone(), rings));
    }

    #[cold]
    fn replace(&self, waker: &Waker) {
        let waker = waker.clone();
        let replaced = self.waker.lock().replace(waker);
        drop(replaced);
    }

    pub(super) fn ring(&self) {
        let waker = self.waker.lock().take();
        self.rings.fetch_add(1, Ordering::Relaxed);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
