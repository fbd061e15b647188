//! Clocks, timers, and sleeping until an instant.

pub(crate) mod clock;
pub(crate) mod manual;
pub(crate) mod sleep;
mod thread_waker;
pub(crate) mod timeout;
#[cfg(not(any(loom, shuttle)))]
mod timer;
#[cfg(loom)]
#[path = "timer_loom.rs"]
mod timer;
#[cfg(shuttle)]
#[path = "timer_shuttle.rs"]
mod timer;

use timer::SystemTimer;
