//! Wakers taken out under a lock, to be woken once it is released.

use std::task::Waker;

use ump::internal::catch_user_panic;

/// Wakers whose tasks sleep until [`wake_all`](Self::wake_all) is called, which no lock may be held
/// for.
#[derive(Debug, Default)]
#[must_use = "the tasks sleep until their wakers are woken"]
pub(crate) struct DeferredWakes(Vec<Waker>);

impl DeferredWakes {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Wakes all of them. A panic of one does not keep the others from being woken.
    pub(crate) fn wake_all(&mut self) {
        let _ = self.wake_all_checked();
    }

    /// Wakes all of them. Returns false if one has panicked: its task may sleep on.
    #[must_use = "another task may have to be woken instead"]
    pub(crate) fn wake_all_checked(&mut self) -> bool {
        let mut woken = 0;
        let wakers = self.0.len();
        for waker in self.0.drain(..) {
            catch_user_panic(|| {
                waker.wake();
                woken += 1;
            });
        }
        woken == wakers
    }
}

impl Extend<Waker> for DeferredWakes {
    #[inline]
    fn extend<W: IntoIterator<Item = Waker>>(&mut self, wakers: W) {
        self.0.extend(wakers);
    }
}

impl FromIterator<Waker> for DeferredWakes {
    fn from_iter<W: IntoIterator<Item = Waker>>(wakers: W) -> Self {
        Self(wakers.into_iter().collect())
    }
}

impl IntoIterator for DeferredWakes {
    type Item = Waker;
    type IntoIter = std::vec::IntoIter<Waker>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
