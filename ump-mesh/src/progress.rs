//! Waking those that wait for confirmations.

use std::{collections::BTreeMap, task::Waker};

use parking_lot::Mutex;
use ump::internal::catch_user_panic;

/// Wakes those that wait for confirmations.
#[derive(Default)]
pub(crate) struct Progress(Mutex<Wakers>);

#[derive(Default)]
struct Wakers {
    last: u64,
    by_id: BTreeMap<u64, Waker>,
}

impl Progress {
    /// A participant has come or gone, or something was confirmed, or is not wanted any more.
    pub(crate) fn notify(&self) {
        // Wakers of users run without the lock.
        let woken = std::mem::take(&mut self.0.lock().by_id);
        for waker in woken.into_values() {
            catch_user_panic(|| waker.wake());
        }
    }

    /// Registers a waker, in place of that with the same id.
    pub(crate) fn register(&self, id: Option<u64>, waker: Waker) -> u64 {
        let mut wakers = self.0.lock();
        let id = id.unwrap_or_else(|| {
            wakers.last += 1;
            wakers.last
        });
        let former = wakers.by_id.insert(id, waker);
        drop(wakers);
        drop(former);
        id
    }

    pub(crate) fn remove(&self, id: u64) {
        let former = self.0.lock().by_id.remove(&id);
        drop(former);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use super::*;

    struct Counts(AtomicUsize);

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
            assert!(Arc::strong_count(&self) > 1, "a waker may panic");
        }
    }

    #[test]
    fn each_waker_is_woken_once_until_it_is_registered_again() {
        let progress = Progress::default();
        let woken: [_; 3] = std::array::from_fn(|_| Arc::new(Counts(AtomicUsize::new(0))));
        let waker = |nth: usize| Waker::from(Arc::clone(&woken[nth]));
        let first = progress.register(None, waker(0));
        let second = progress.register(None, waker(0));
        assert_eq!(progress.register(Some(second), waker(1)), second);
        let third = progress.register(None, waker(2));
        progress.remove(third);
        progress.notify();
        progress.notify();
        progress.register(Some(first), waker(0));
        progress.notify();
        let counts = woken.each_ref().map(|it| it.0.load(Ordering::Relaxed));
        assert_eq!(counts, [2, 1, 0]);
        assert_eq!(woken.each_ref().map(Arc::strong_count), [1, 1, 1]);
    }

    #[test]
    fn a_waker_that_panics_does_not_keep_others_asleep() {
        let progress = Progress::default();
        let (panics, other) = [(); 2]
            .map(|()| Arc::new(Counts(AtomicUsize::new(0))))
            .into();
        progress.register(None, Waker::from(panics));
        progress.register(None, Waker::from(Arc::clone(&other)));
        progress.notify();
        assert_eq!(other.0.load(Ordering::Relaxed), 1);
    }
}
