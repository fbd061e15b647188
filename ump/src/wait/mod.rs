//! How threads and tasks wait: who is to be woken, and how long it pays to stay awake.

#[cfg(not(any(loom, shuttle)))]
pub(crate) mod budget;
#[cfg(not(any(loom, shuttle)))]
pub(crate) mod probe;
#[cfg(not(any(loom, shuttle)))]
pub(crate) mod spin;
pub(crate) mod waiter;
#[cfg(not(any(loom, shuttle)))]
pub(crate) mod yield_now;
