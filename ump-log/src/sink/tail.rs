//! The last records, in memory.

use std::{
    collections::VecDeque,
    future::{Future, IntoFuture},
    io,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use tracing::Level;

use super::{Sink, pending::Pending};
use crate::{
    format::Format,
    ports::{Command, Ports},
    record::Record,
};

/// The most bytes of all lines, beside the number of records that was chosen.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// A record in a [`Tail`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// The number of the record, from 0. Each is one more than that of the record before.
    pub number: u64,
    /// When the record was made.
    pub time: SystemTime,
    /// The level.
    pub level: Level,
    /// The target: mostly the path of a module.
    pub target: &'static str,
    /// The record in the format of the tail, without a line end.
    pub text: String,
}

/// Some records of a [`Tail`], in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The records.
    pub lines: Vec<Arc<Line>>,
    /// How many records before the first of these were asked for, but are not kept any more.
    pub missed: u64,
    /// The number of the record after these: what to ask for next.
    pub next: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Ring {
    lines: VecDeque<Arc<Line>>,
    bytes: usize,
    /// The number of the next record.
    next: u64,
    most: usize,
}

impl Ring {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    fn push(&mut self, line: Line) {
        self.bytes += line.text.len();
        self.lines.push_back(Arc::new(line));
        self.next += 1;
        while self.lines.len() > self.most || (self.bytes > MOST_BYTES && self.lines.len() > 1) {
            let Some(line) = self.lines.pop_front() else {
                break;
            };
            self.bytes -= line.text.len();
        }
    }

    fn page(&self, from: u64, limit: usize) -> Page {
        let first = self.next - self.lines.len() as u64;
        let start = from.clamp(first, self.next);
        let skip = usize::try_from(start - first).unwrap_or(usize::MAX);
        let lines: Vec<_> = self.lines.iter().skip(skip).take(limit).cloned().collect();
        Page {
            missed: start.saturating_sub(from),
            next: start + lines.len() as u64,
            lines,
        }
    }
}

/// Keeps records in a ring.
#[derive(Debug)]
pub(crate) struct TailSink {
    pub(crate) ring: Arc<Mutex<Ring>>,
    pub(crate) format: Format,
    /// Of the records that are pending.
    pub(crate) headers: VecDeque<(Level, &'static str)>,
}

impl Sink for TailSink {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        self.headers
            .push_back((record.header.level, record.header.target));
        self.format.write(record, out);
    }

    fn write(&mut self, pending: &Pending) -> io::Result<usize> {
        let bytes = pending.first();
        let text = String::from_utf8_lossy(bytes)
            .trim_end_matches('\n')
            .to_owned();
        let time = UNIX_EPOCH + Duration::from_micros(pending.time());
        let (level, target) = self.headers.pop_front().unwrap_or((Level::INFO, ""));
        let mut ring = self.ring.lock();
        let number = ring.next;
        ring.push(Line {
            number,
            time,
            level,
            target,
            text,
        });
        Ok(bytes.len())
    }
}

/// The last records, to be read again and again: [`Builder::tail`](crate::Builder::tail). Clones
/// read the same.
///
/// A reader asks for a page from a number on, then for the next one. Nothing is kept for it: one
/// that is slow is told how many records it missed. A record is here about 20 ms after it was made
/// at the latest, as long as a CPU is free.
///
/// ```
/// # let (layer, guard) = ump_log::Builder::new().tail(100, ump_log::Format::Json).start()?;
/// # use tracing_subscriber::prelude::*;
/// # let subscriber = tracing_subscriber::registry().with(layer);
/// # tracing::subscriber::with_default(subscriber, || {
/// let tail = guard.tail().expect("the builder was given one");
/// tracing::info!(count = 3, "sold");
/// tail.after(0).wait()?; // blocks; `.await` in async code
/// let page = tail.page(0, 50);
/// assert_eq!(page.lines[0].level, tracing::Level::INFO);
/// assert!(page.lines[0].text.contains("sold"));
/// assert_eq!((page.missed, page.next), (0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tail {
    pub(crate) ring: Arc<Mutex<Ring>>,
    pub(crate) ports: Arc<Ports>,
    pub(crate) index: usize,
}

impl Tail {
    /// Returns at most `limit` records from the number `from` on. If they are not kept any more,
    /// the page begins with the oldest one that is, and says how many are missed. Never waits.
    #[must_use]
    pub fn page(&self, from: u64, limit: usize) -> Page {
        self.ring.lock().page(from, limit)
    }

    /// Returns the last records, at most `limit`.
    #[must_use]
    pub fn last(&self, limit: usize) -> Page {
        let ring = self.ring.lock();
        let from = ring.next - ring.lines.len().min(limit) as u64;
        ring.page(from, limit)
    }

    /// Waits until there is a record with the number `from` or a greater one: blocks by
    /// [`wait`](After::wait), suspends by `.await`.
    pub fn after(&self, from: u64) -> After<'_> {
        let tail = self;
        After { tail, from }
    }
}

/// The wait for a further record: see [`Tail::after`].
#[derive(Clone, Copy, Debug)]
#[must_use = "it waits only when `wait` is called or when it is awaited"]
pub struct After<'a> {
    tail: &'a Tail,
    from: u64,
}

/// The thread of the tail has ended, or more than 1,024 callers wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot wait for further records: the log has ended, or too many callers wait")]
pub struct CannotWait;

impl After<'_> {
    fn request(&self) -> ump::Request<'_, Command, (), String> {
        let client = &self.tail.ports[self.tail.index].client;
        client.request(Command::Exceeds(self.from))
    }

    /// Blocks until there is such a record.
    ///
    /// # Errors
    /// [`CannotWait`].
    pub fn wait(self) -> Result<(), CannotWait> {
        self.request().wait().map_err(|_| CannotWait)
    }

    /// Blocks until there is such a record, or until `timeout` has passed. Returns whether there
    /// is one.
    ///
    /// # Errors
    /// [`CannotWait`].
    pub fn wait_timeout(self, timeout: Duration) -> Result<bool, CannotWait> {
        match self.request().timeout(timeout).wait() {
            Ok(()) => Ok(true),
            Err(error) if error.is_timeout() => Ok(false),
            Err(_) => Err(CannotWait),
        }
    }
}

impl<'a> IntoFuture for After<'a> {
    type Output = Result<(), CannotWait>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    /// Cancel safe: dropping the future loses nothing.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let client = &self.tail.ports[self.tail.index].client;
            let request = client.request(Command::Exceeds(self.from));
            request.await.map_err(|_| CannotWait)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64, length: usize) -> Line {
        Line {
            number,
            time: UNIX_EPOCH,
            level: Level::INFO,
            target: "test",
            text: "x".repeat(length),
        }
    }

    fn numbers(page: &Page) -> Vec<u64> {
        page.lines.iter().map(|line| line.number).collect()
    }

    #[test]
    fn pages_follow_each_other_and_say_what_is_missed() {
        let mut ring = Ring::new(3);
        assert_eq!(ring.page(5, 10), Page::default());
        for number in 0..5 {
            ring.push(line(number, 1));
        }
        let page = ring.page(0, 2);
        assert_eq!((numbers(&page), page.missed, page.next), (vec![2, 3], 2, 4));
        let page = ring.page(page.next, 2);
        assert_eq!((numbers(&page), page.missed, page.next), (vec![4], 0, 5));
        let page = ring.page(page.next, 2);
        assert_eq!((numbers(&page), page.missed, page.next), (vec![], 0, 5));
    }

    #[test]
    fn large_records_displace_more_than_one() {
        let mut ring = Ring::new(100);
        for number in 0..4 {
            ring.push(line(number, MOST_BYTES / 2));
        }
        assert_eq!(numbers(&ring.page(0, 10)), [2, 3]);
        ring.push(line(4, MOST_BYTES + 1));
        assert_eq!(numbers(&ring.page(0, 10)), [4]);
    }
}
