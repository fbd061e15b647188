//! The lock of the links, of which a thread knows whether it has it.
//!
//! Code of users runs under it: codecs, wakers, and the drop of messages. If that code calls the
//! router, it must not wait for the lock: neither for this one, nor for that of another router,
//! whose thread may wait for this one.

use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
};

use super::Driver;
use crate::sync::Mutex;

thread_local! {
    /// How many routers' links this thread has locked.
    static LOCKED: Cell<usize> = const { Cell::new(0) };
}

/// The links of a router.
pub(in super::super) struct Links(Mutex<Driver>);

impl Links {
    pub(super) fn new(driver: Driver) -> Self {
        Self(Mutex::new(driver))
    }

    /// Waits for the lock. Not to be called in code of users.
    pub(super) fn lock(&self) -> Locked<impl DerefMut<Target = Driver>> {
        Locked::new(self.0.lock())
    }

    pub(super) fn try_lock(&self) -> Option<Locked<impl DerefMut<Target = Driver>>> {
        self.0.try_lock().map(Locked::new)
    }
}

/// Returns whether this thread runs code for links, which are locked meanwhile.
pub(in super::super) fn is_locked_here() -> bool {
    // Not if the thread ends, and its values are dropped: then it runs no such code.
    LOCKED.try_with(Cell::get).is_ok_and(|locked| locked > 0)
}

/// The links, locked by this thread. The guard does not leave it.
pub(super) struct Locked<G>(G);

impl<G> Locked<G> {
    fn new(guard: G) -> Self {
        let _ = LOCKED.try_with(|locked| locked.set(locked.get() + 1));
        Self(guard)
    }
}

impl<G> Drop for Locked<G> {
    fn drop(&mut self) {
        let _ = LOCKED.try_with(|locked| locked.set(locked.get() - 1));
    }
}

impl<G: Deref<Target = Driver>> Deref for Locked<G> {
    type Target = Driver;

    fn deref(&self) -> &Driver {
        &self.0
    }
}

impl<G: DerefMut<Target = Driver>> DerefMut for Locked<G> {
    fn deref_mut(&mut self) -> &mut Driver {
        &mut self.0
    }
}
