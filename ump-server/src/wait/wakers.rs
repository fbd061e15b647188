//! Wakers of the futures that wait for the same event, which wakes all of them.
//!
//! Each future keeps a key from its first registration until it is dropped: so polled again it replaces its waker, whichever task polls it,
//! and a future that is dropped leaves nothing behind. Both cost the logarithm of the number of futures that wait.
//!
//! A waker is the user's code. Nothing here runs it: callers clone wakers before they take the lock that this is under, and drop or wake those that come
//! out of it, by [`discard`] and [`wake_all`], after they have released it.

use std::{collections::BTreeMap, mem, task::Waker};

use crate::catch;

#[derive(Debug, Default)]
pub(crate) struct Wakers {
    /// By key, so in the order of first registration.
    registered: BTreeMap<u64, Waker>,
    last: u64,
}

/// The place of one future among the [`Wakers`].
#[derive(Debug, Default)]
pub(crate) struct Registration(Option<u64>);

impl Registration {
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn is_made(&self) -> bool {
        self.0.is_some()
    }
}

impl Wakers {
    /// Registers a future's waker. Returns the one that it takes the place of.
    #[must_use = "a waker is the user's code: drop it after unlocking"]
    pub(crate) fn register(&mut self, own: &mut Registration, waker: Waker) -> Option<Waker> {
        let key = *own.0.get_or_insert_with(|| {
            self.last += 1;
            self.last
        });
        self.registered.insert(key, waker)
    }

    /// Removes a future's waker.
    #[must_use = "a waker is the user's code: drop it after unlocking"]
    pub(crate) fn remove(&mut self, own: &mut Registration) -> Option<Waker> {
        self.registered.remove(&own.0.take()?)
    }

    /// Removes all of them, to be woken after unlocking.
    #[must_use = "tasks sleep until these are woken"]
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Waker> + use<> {
        mem::take(&mut self.registered).into_values()
    }
}

/// Wakes all of them, even if some panic: that is the trouble of their tasks, and the panic hook reports it.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        let _ = catch::catch_user_panic(|| waker.wake());
    }
}

/// Drops a waker, even if that panics.
pub(crate) fn discard(waker: Option<Waker>) {
    let _ = catch::catch_user_panic(|| drop(waker));
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_future_has_one_place_and_leaves_none() {
        let mut wakers = Wakers::default();
        let mut own = [Registration::default(), Registration::default()];
        for own in &mut own {
            assert!(wakers.register(own, Waker::noop().clone()).is_none());
            assert!(wakers.register(own, Waker::noop().clone()).is_some());
        }
        assert!(wakers.remove(&mut own[0]).is_some() && !own[0].is_made());
        assert!(wakers.remove(&mut own[0]).is_none());
        assert_eq!(wakers.take_all().count(), 1);
        assert!(wakers.remove(&mut own[1]).is_none());
        assert!(wakers.registered.is_empty());
    }
}
