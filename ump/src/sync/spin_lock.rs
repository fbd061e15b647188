//! A lock for a few instructions that are the same each time: released by a store, where a lock that can put threads to sleep needs a
//! second atomic read-modify-write. (Measured: each of them 5 ns; 64 requests at a time between two tasks 92 ns each, and 79 so.)
//!
//! Whoever finds it taken looks, then yields, then sleeps (see [`lock_pause`]), in case its holder was descheduled.
//!
//! # Invariant
//!
//! `value` is touched only between the exchange that sets `locked` (Acquire) and the store that clears it (Release), which is the last
//! access to the lock: what holds the lock may be freed by the next who gets it. So the lock is given by pointer, and no reference to it, or to
//! what holds it, is an argument of a function that is running at that store: such a reference would have to be valid until the function returns.

use std::ptr::NonNull;

use super::{AtomicBool, Ordering, UnsafeCell, lock_pause};

pub(crate) struct SpinLock<T> {
    locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: it hands out the value to one at a time, by the invariant.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            locked: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Shows the value to `look`, which runs none of the user's code.
    ///
    /// # Safety
    /// `this` is alive until the lock is released.
    #[inline]
    pub(crate) unsafe fn with<U>(this: NonNull<Self>, look: impl FnOnce(&mut T) -> U) -> U {
        // SAFETY: alive, as the caller promises. The reference is gone before the lock is released.
        let lock = unsafe { this.as_ref() };
        if !lock.try_lock() {
            lock.wait();
        }
        let _unlock = Unlock(this);
        // SAFETY: we have the lock, so it is alive and the value is ours.
        lock.value.with_mut(|value| look(unsafe { &mut *value }))
    }

    #[inline]
    fn try_lock(&self) -> bool {
        // Not `swap`: who fails does not write.
        self.locked
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    #[cold]
    fn wait(&self) {
        let mut looks = 0;
        // Relaxed: the exchange decides.
        while self.locked.load(Ordering::Relaxed) || !self.try_lock() {
            lock_pause(&mut looks);
        }
    }
}

/// Gives up the lock, even if `look` panics.
struct Unlock<T>(NonNull<SpinLock<T>>);

impl<T> Drop for Unlock<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the lock is ours, so it is alive until the store. The reference is to the atomic alone, which may be freed while it is shared.
        let locked = unsafe { &(*self.0.as_ptr()).locked };
        // Release: pairs with the Acquire of `try_lock`.
        locked.store(false, Ordering::Release);
    }
}
