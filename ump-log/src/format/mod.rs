//! How a record is written: as a line of text, or as a line of JSON.

mod escape;
mod json;
mod text;

use std::{
    fmt,
    time::{Duration, UNIX_EPOCH},
};

use crate::record::Record;

/// How a sink writes a record: always as one line.
///
/// Control characters, line ends, and characters that turn the direction of text are escaped in
/// both formats, wherever they come from. So no field can begin a line of its own, nor control a
/// terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// For people: the time (UTC, microseconds), the level, the spans with their fields, the
    /// target, the message, and the fields. A value is in quotes if it has a space, a quote, or `=`
    /// in it.
    ///
    /// ```text
    /// 2026-11-30T23:59:59.000001Z  INFO request{id=7}: shop::orders: sold article=tea count=3
    /// ```
    #[default]
    Text,
    /// For programs: an object. `fields` and `spans` are left out if there are none; numbers and
    /// booleans stay what they are, `NaN` and infinite numbers become strings.
    ///
    /// ```text
    /// {"time":"2026-11-30T23:59:59.000001Z","level":"INFO","target":"shop::orders","message":"sold",
    ///  "fields":{"article":"tea","count":3},"spans":[{"name":"request","id":7}]}
    /// ```
    ///
    /// (It is one line.) A field of a span that is called `name` is written as `name_`.
    Json,
}

impl Format {
    /// Appends the line of a record, with its line end.
    pub(crate) fn write(self, record: &Record<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Text => text::write(record, out),
            Self::Json => json::write(record, out),
        }
        out.push(b'\n');
    }
}

pub(crate) use text::{body, escaped};

/// Returns a time as it is written.
fn time(micros: u64) -> impl fmt::Display {
    humantime::format_rfc3339_micros(UNIX_EPOCH + Duration::from_micros(micros))
}

#[cfg(test)]
mod tests;
