//! What time it is, and sleeping until it is later.

pub(crate) mod clock;
#[cfg(not(any(loom, shuttle)))]
pub(crate) mod timer;
