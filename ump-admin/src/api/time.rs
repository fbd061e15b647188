//! Times, as JSON has them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the seconds since 1970.
pub(super) fn unix_seconds(at: SystemTime) -> f64 {
    let since = at.duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
