//! The log of the program: its filter, its sinks, and its last records.
#![cfg_attr(
    not(feature = "log"),
    expect(dead_code, reason = "without the feature there is no log to show")
)]

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The most bytes of the text of a record.
const MAX_TEXT: usize = 8 << 10;

/// The most bytes of the texts of a page.
const MAX_BYTES: usize = 1 << 20;

/// A log. Nothing here waits for a sink.
pub(crate) trait Log: Send + Sync {
    fn state(&self) -> LogState;

    /// Replaces the filter. It may take some milliseconds.
    fn set_filter(&self, directives: &str) -> Result<(), SetFilterError>;

    /// Returns the last records that are wanted; none if the program keeps no records.
    fn last(&self, wanted: &Wanted, limit: usize) -> Option<Records>;

    /// Looks at `scan` records from a number on, and returns the last of those that are wanted;
    /// none if the program keeps no records.
    fn after(&self, from: u64, wanted: &Wanted, bounds: Bounds) -> Option<Records>;
}

/// How many records are looked at, and how many of them are returned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) scan: usize,
    pub(crate) limit: usize,
}

/// The reason why a filter stays as it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SetFilterError {
    Syntax(String),
    Ended(String),
}

/// The state of a log.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct LogState {
    pub(crate) filter: String,
    pub(crate) keeps_records: bool,
    pub(crate) sinks: Vec<LogSink>,
}

/// A sink of a log.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct LogSink {
    pub(crate) name: String,
    pub(crate) written: u64,
    pub(crate) dropped: u64,
    pub(crate) queued_bytes: usize,
    pub(crate) failure: Option<String>,
}

/// A level, the most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl FromStr for Level {
    type Err = fmt::Error;

    /// Reads a level as `tracing` writes it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "ERROR" => Self::Error,
            "WARN" => Self::Warn,
            "INFO" => Self::Info,
            "DEBUG" => Self::Debug,
            "TRACE" => Self::Trace,
            _ => return Err(fmt::Error),
        })
    }
}

/// A record.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct LogRecord {
    pub(crate) number: u64,
    pub(crate) at_s: f64,
    pub(crate) level: Level,
    pub(crate) target: &'static str,
    /// The record in the format of the program's choice, or its beginning.
    pub(crate) text: String,
    /// How many bytes of the text are left out here.
    pub(crate) cut_bytes: usize,
}

/// Some records, in their order.
#[expect(clippy::struct_field_names, reason = "as in JSON")]
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Records {
    pub(crate) records: Vec<LogRecord>,
    /// How many before these were asked for, but are not kept any more, or are left out because
    /// there are too many.
    pub(crate) missed: u64,
    /// The number of the record that comes next.
    pub(crate) next: u64,
}

impl Records {
    /// Keeps the last ones, at most `limit` and 1 MiB of text, and returns how many it drops.
    pub(crate) fn keep_last(&mut self, limit: usize) -> u64 {
        let mut bytes = 0;
        let kept = self.records.iter().rev().take(limit).take_while(|record| {
            bytes += record.text.len();
            bytes <= MAX_BYTES
        });
        let surplus = self.records.len() - kept.count();
        self.records.drain(..surplus);
        surplus as u64
    }
}

/// Which records are wanted: of this level or a more severe one, whose target begins so, and whose
/// text contains this, whatever its case.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    level: Option<Level>,
    target: String,
    text: String,
}

impl Wanted {
    pub(crate) fn new(level: Option<Level>, target: String, text: &str) -> Self {
        Self {
            level,
            target,
            text: text.to_lowercase(),
        }
    }

    pub(crate) fn matches(&self, level: Level, target: &str, text: &str) -> bool {
        self.level.is_none_or(|most| level <= most)
            && target.starts_with(&self.target)
            && (self.text.is_empty() || text.to_lowercase().contains(&self.text))
    }
}

/// Returns the beginning of a text, and the number of bytes after it.
pub(crate) fn cut(text: &str) -> (String, usize) {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (text[..end].to_owned(), text.len() - end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("short"), ("short".to_owned(), 0));
        let text = format!("x{}", "\u{e4}".repeat(MAX_TEXT));
        let (begin, left_out) = cut(&text);
        assert_eq!((begin.len(), left_out), (MAX_TEXT - 1, MAX_TEXT + 2));
    }

    #[test]
    fn records_are_wanted_by_level_target_and_text() {
        let wanted = Wanted::new(Some(Level::Info), "shop::".to_owned(), "SOLD");
        assert!(wanted.matches(Level::Warn, "shop::orders", "tea sold"));
        assert!(!wanted.matches(Level::Debug, "shop::orders", "tea sold"));
        assert!(!wanted.matches(Level::Warn, "shop", "tea sold"));
        assert!(!wanted.matches(Level::Warn, "shop::orders", "tea"));
        assert!(Wanted::default().matches(Level::Trace, "", ""));
    }

    #[test]
    fn a_page_is_limited_in_records_and_bytes() {
        let record = |number| LogRecord {
            number,
            at_s: 0.0,
            level: Level::Info,
            target: "",
            text: "x".repeat(MAX_TEXT),
            cut_bytes: 0,
        };
        let mut records = Records {
            records: (0..200).map(record).collect(),
            ..Records::default()
        };
        assert_eq!(records.keep_last(1000), 200 - 128);
        assert_eq!(records.records[0].number, 72);
        assert_eq!(records.keep_last(3), 125);
        assert_eq!(records.records[0].number, 197);
    }
}
