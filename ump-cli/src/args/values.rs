//! Values of arguments.

use std::{str::FromStr, time::Duration};

/// The longest time that can be asked for.
const MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Parses durations such as `500ms`, `90s` or `1h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration > MAX {
        return Err("at most a year".to_owned());
    }
    Ok(duration)
}

/// A number per second, kept as the time between two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate(pub(crate) Duration);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || "a number per second, more than 0".to_owned();
        let rate: f64 = text.parse().map_err(|_| invalid())?;
        if !(rate > 0.0 && rate.is_finite()) {
            return Err(invalid());
        }
        let interval = Duration::try_from_secs_f64(1.0 / rate).map_err(|_| invalid())?;
        Ok(Self(interval.min(MAX)))
    }
}
