//! The log of `ump_log`.

use std::{sync::Arc, time::UNIX_EPOCH};

use ump_log::{FilterError, Line, LogHandle, Page, SinkStatus};

use super::log::{
    Bounds, Level, Log, LogRecord, LogSink, LogState, Records, SetFilterError, Wanted, cut,
};

impl Log for LogHandle {
    fn state(&self) -> LogState {
        LogState {
            filter: self.filter(),
            keeps_records: self.tail().is_some(),
            sinks: self.status().into_iter().map(Into::into).collect(),
        }
    }

    fn set_filter(&self, directives: &str) -> Result<(), SetFilterError> {
        LogHandle::set_filter(self, directives).map_err(|error| match error {
            FilterError::Syntax(_) => SetFilterError::Syntax(error.to_string()),
            _ => SetFilterError::Ended(error.to_string()),
        })
    }

    fn last(&self, wanted: &Wanted, limit: usize) -> Option<Records> {
        let page = self.tail()?.last(usize::MAX);
        let mut records = select(&page, wanted);
        // Those before the last ones were not asked for.
        records.keep_last(limit);
        Some(records)
    }

    fn after(&self, from: u64, wanted: &Wanted, bounds: Bounds) -> Option<Records> {
        let page = self.tail()?.page(from, bounds.scan);
        let mut records = select(&page, wanted);
        records.missed = page.missed + records.keep_last(bounds.limit);
        Some(records)
    }
}

fn select(page: &Page, wanted: &Wanted) -> Records {
    Records {
        records: page
            .lines
            .iter()
            .filter_map(|it| read(it, wanted))
            .collect(),
        missed: 0,
        next: page.next,
    }
}

/// Returns a record if it is wanted.
fn read(line: &Arc<Line>, wanted: &Wanted) -> Option<LogRecord> {
    let level: Level = line.level.as_str().parse().ok()?;
    if !wanted.matches(level, line.target, &line.text) {
        return None;
    }
    let (text, cut_bytes) = cut(&line.text);
    let at = line.time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(LogRecord {
        number: line.number,
        at_s: at.as_secs_f64(),
        level,
        target: line.target,
        text,
        cut_bytes,
    })
}

impl From<SinkStatus> for LogSink {
    fn from(status: SinkStatus) -> Self {
        Self {
            name: status.name,
            written: status.written,
            dropped: status.dropped.total(),
            queued_bytes: status.queued_bytes,
            failure: status.failure,
        }
    }
}
