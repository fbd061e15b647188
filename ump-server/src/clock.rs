//! What time it is.

use std::time::Instant;

/// Tells the time: the system's monotonic clock.
#[derive(Clone, Debug, Default)]
pub struct Clock(());

impl Clock {
    /// The system's monotonic clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(())
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::now()
    }
}
