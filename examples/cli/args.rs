//! Values of arguments.

use std::{ops::RangeInclusive, time::Duration};

use clap::builder::TypedValueParser;

/// Returns a parser of durations such as `500ms`, `90s` or `1h 30m` within a range.
#[must_use]
pub fn duration(range: RangeInclusive<Duration>) -> impl TypedValueParser<Value = Duration> {
    move |text: &str| {
        let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
        if range.contains(&duration) {
            return Ok(duration);
        }
        let [least, most] =
            [range.start(), range.end()].map(|end| humantime::format_duration(*end));
        Err(format!("it must be from {least} to {most}"))
    }
}
