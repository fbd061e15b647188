//! The wakers of all futures that wait for the same event.
//!
//! Each future keeps a key from its first registration until it is dropped. So a future that is
//! polled again replaces its waker, whichever task polls it, and a dropped future leaves no waker
//! behind. Both take logarithmic time in the number of waiting futures.
//!
//! A waker is user code. Nothing here runs it: callers clone wakers before they take the lock that
//! guards [`Wakers`]. They drop or wake the returned wakers, by [`discard`] and [`wake_all`], after
//! they have released the lock.

use std::{collections::BTreeMap, mem, task::Waker};

use crate::catch;

#[derive(Debug, Default)]
pub(crate) struct Wakers {
    /// Wakers by key, so in the order of first registration.
    registered: BTreeMap<u64, Waker>,
    last: u64,
}

/// The registration of one future among the [`Wakers`].
#[derive(Debug, Default)]
pub(crate) struct Registration(Option<u64>);

impl Registration {
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn is_made(&self) -> bool {
        self.0.is_some()
    }
}

impl Wakers {
    /// Registers a future's waker. Returns the waker that it replaces.
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

    /// Removes all wakers, to be woken after unlocking.
    #[must_use = "tasks sleep until these are woken"]
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Waker> + use<> {
        mem::take(&mut self.registered).into_values()
    }
}

/// Wakes all wakers, even if some of them panic: a panic concerns only its task, and the panic hook
/// reports it.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        catch::catch_user_panic(|| waker.wake());
    }
}

/// Drops a waker, even if its drop panics.
pub(crate) fn discard(waker: Option<Waker>) {
    catch::catch_user_panic(|| drop(waker));
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
