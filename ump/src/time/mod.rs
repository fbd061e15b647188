//! What time it is, and sleeping until it is later.

pub(crate) mod clock;
pub(crate) mod timeout;
#[cfg(not(any(loom, shuttle)))]
pub(crate) mod timer;
