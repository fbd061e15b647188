//! The queue between the threads that make records and the thread of one sink: bounded in bytes, in
//! chunks, so that no lock is held while much is copied.
//!
//! Appending takes a lock for the time of a copy, and never waits for the sink. A record without
//! room is dropped and counted; the next record that has room carries the count, so the sink can
//! say in its place what is missing. Records of the levels `WARN` and `ERROR` may use all of the
//! queue, the others all but a quarter.
//!
//! The sink's thread looks at intervals while there is something to do, and sleeps otherwise. So
//! appending wakes it only after an idle time, or when a quarter of the queue is full.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tracing::Level;

use crate::record::{Header, Record};

/// Bytes of fields after which a chunk is closed.
const CHUNK: usize = 64 * 1024;
/// What a record needs beside its fields.
const OVERHEAD: usize = size_of::<Entry>();
/// Empty chunks that are kept for use again.
const SPARES: usize = 4;

/// How many records were dropped, by level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// Of the level `ERROR`.
    pub error: u64,
    /// Of the level `WARN`.
    pub warn: u64,
    /// Of the level `INFO`.
    pub info: u64,
    /// Of the level `DEBUG`.
    pub debug: u64,
    /// Of the level `TRACE`.
    pub trace: u64,
}

impl Dropped {
    /// Returns the number of records of all levels.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.error + self.warn + self.info + self.debug + self.trace
    }

    fn count(&mut self, level: Level) {
        *match level {
            Level::ERROR => &mut self.error,
            Level::WARN => &mut self.warn,
            Level::INFO => &mut self.info,
            Level::DEBUG => &mut self.debug,
            Level::TRACE => &mut self.trace,
        } += 1;
    }
}

#[derive(Debug)]
struct Entry {
    header: Header,
    end: usize,
    /// What was dropped between the record before and this one.
    dropped: Option<Box<Dropped>>,
}

/// Some records, in their order.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    entries: Vec<Entry>,
    fields: Vec<u8>,
    /// What was dropped after the last record.
    dropped: Option<Box<Dropped>>,
}

/// An item of a chunk.
#[derive(Debug)]
pub(crate) enum Item<'a> {
    Record(Record<'a>),
    Dropped(&'a Dropped),
}

impl Chunk {
    pub(crate) fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let mut start = 0;
        let entries = self.entries.iter().flat_map(move |entry| {
            let header = &entry.header;
            let fields = &self.fields[start..entry.end];
            start = entry.end;
            let dropped = entry.dropped.as_deref().map(Item::Dropped);
            let record = Item::Record(Record { header, fields });
            dropped.into_iter().chain([record])
        });
        entries.chain(self.dropped.as_deref().map(Item::Dropped))
    }

    fn size(&self) -> usize {
        self.fields.len() + self.entries.len() * OVERHEAD
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.fields.clear();
        self.dropped = None;
    }
}

#[derive(Debug)]
pub(crate) struct Queue {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Chunk>,
    spares: Vec<Chunk>,
    /// Bytes of all records that are not yet written, those in the sink's hands included.
    used: usize,
    /// Dropped since the last record that had room.
    dropped: Option<Box<Dropped>>,
    total: Dropped,
    /// The sink's thread does not look by itself.
    asleep: bool,
    /// It was woken, and has not looked since.
    woken: bool,
}

impl Queue {
    pub(crate) fn new(limit: usize) -> Self {
        let state = State {
            asleep: true,
            ..State::default()
        };
        Self {
            limit,
            state: Mutex::new(state),
        }
    }

    /// Appends a record, or counts it as dropped. Returns whether to wake the sink.
    #[must_use = "the sink may be asleep"]
    pub(crate) fn push(&self, header: Header, fields: &[u8]) -> bool {
        let size = fields.len() + OVERHEAD;
        let limit = if header.level <= Level::WARN {
            self.limit
        } else {
            self.limit / 4 * 3
        };
        // A chunk is allocated, or freed, at most once in some hundred records.
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.used + size > limit {
            let dropped = state.dropped.get_or_insert_default();
            dropped.count(header.level);
            state.total.count(header.level);
        } else {
            state.used += size;
            let dropped = state.dropped.take();
            let chunk = state.open_chunk(fields.len());
            chunk.fields.extend_from_slice(fields);
            let end = chunk.fields.len();
            chunk.entries.push(Entry {
                header,
                end,
                dropped,
            });
        }
        let wake = !state.woken && (state.asleep || state.used > self.limit / 4);
        state.woken |= wake;
        wake
    }

    /// Returns the chunks that wait, to be taken one by one, and notes that the sink looks.
    pub(crate) fn look(&self) -> usize {
        let mut state = self.state.lock();
        state.woken = false;
        state.asleep = false;
        state.chunks.len() + usize::from(state.dropped.is_some())
    }

    /// Takes the oldest records. They count as queued until they are [written](Self::written).
    pub(crate) fn pop(&self) -> Option<Chunk> {
        let mut state = self.state.lock();
        let chunk = state.chunks.pop_front();
        if state.chunks.is_empty() && state.dropped.is_some() {
            let mut chunk = chunk.unwrap_or_default();
            chunk.dropped = state.dropped.take();
            return Some(chunk);
        }
        chunk
    }

    /// Makes room of what was taken.
    pub(crate) fn written(&self, mut chunk: Chunk) {
        let size = chunk.size();
        // A chunk of one large record is not kept.
        let kept = chunk.fields.capacity() <= 2 * CHUNK;
        chunk.clear();
        let mut state = self.state.lock();
        state.used = state.used.saturating_sub(size);
        let spare = if kept && state.spares.len() < SPARES {
            state.spares.push(chunk);
            None
        } else {
            Some(chunk)
        };
        drop(state);
        drop(spare);
    }

    /// Notes that the sink's thread sleeps until it is woken. Returns `false` if there is something
    /// to do.
    pub(crate) fn sleep(&self) -> bool {
        let mut state = self.state.lock();
        state.asleep = state.chunks.is_empty() && state.dropped.is_none();
        state.asleep
    }

    pub(crate) fn used(&self) -> usize {
        self.state.lock().used
    }

    pub(crate) fn dropped(&self) -> Dropped {
        self.state.lock().total
    }
}

impl State {
    /// Returns the chunk that the next record goes to.
    fn open_chunk(&mut self, length: usize) -> &mut Chunk {
        let has_room =
            |chunk: &Chunk| chunk.entries.is_empty() || chunk.fields.len() + length <= CHUNK;
        if !self.chunks.back().is_some_and(has_room) {
            let chunk = self.spares.pop().unwrap_or_default();
            self.chunks.push_back(chunk);
        }
        self.chunks
            .back_mut()
            .expect("it was pushed if there was none")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(level: Level) -> Header {
        Header {
            micros: 0,
            level,
            target: "test",
            file: None,
            line: None,
        }
    }

    fn shown(queue: &Queue) -> Vec<String> {
        let mut shown = Vec::new();
        while let Some(chunk) = queue.pop() {
            for item in chunk.items() {
                shown.push(match item {
                    Item::Record(record) => {
                        format!("{} {}", record.header.level, record.fields.len())
                    }
                    Item::Dropped(dropped) => format!("dropped {}", dropped.total()),
                });
            }
            queue.written(chunk);
        }
        shown
    }

    #[test]
    fn a_full_queue_drops_and_says_where() {
        let queue = Queue::new(4 * (OVERHEAD + 10));
        for _ in 0..5 {
            let _ = queue.push(header(Level::INFO), &[0; 10]);
        }
        // The last quarter is for these.
        let _ = queue.push(header(Level::ERROR), &[0; 10]);
        let _ = queue.push(header(Level::WARN), &[0; 10]);
        let expected = [
            "INFO 10",
            "INFO 10",
            "INFO 10",
            "dropped 2",
            "ERROR 10",
            "dropped 1",
        ];
        assert_eq!(shown(&queue), expected);
        assert_eq!(queue.used(), 0);
        assert_eq!((queue.dropped().info, queue.dropped().warn), (2, 1));
    }

    #[test]
    fn what_the_sink_has_in_hand_takes_room() {
        let queue = Queue::new(2 * OVERHEAD);
        let _ = queue.push(header(Level::ERROR), &[]);
        let chunk = queue.pop().expect("a record");
        assert_eq!(queue.used(), OVERHEAD);
        queue.written(chunk);
        assert_eq!(queue.used(), 0);
    }

    #[test]
    fn only_the_first_record_wakes_a_sleeping_sink() {
        let queue = Queue::new(1 << 20);
        assert!(queue.push(header(Level::INFO), &[]));
        assert!(!queue.push(header(Level::INFO), &[]));
        assert!(!queue.sleep(), "there is something to do");
        assert_eq!(queue.look(), 1);
        assert_eq!(shown(&queue).len(), 2);
        assert!(!queue.push(header(Level::INFO), &[]), "the sink is awake");
        assert_eq!(shown(&queue).len(), 1);
        assert!(queue.sleep());
        assert!(queue.push(header(Level::INFO), &[]));
    }

    #[test]
    fn a_queue_that_fills_wakes_the_sink_once() {
        let queue = Queue::new(100 * OVERHEAD);
        assert_eq!(queue.look(), 0);
        let wakes = (0..60)
            .filter(|_| queue.push(header(Level::INFO), &[]))
            .count();
        assert_eq!(wakes, 1);
    }

    #[test]
    fn many_records_keep_their_order_over_chunks() {
        let queue = Queue::new(1 << 24);
        for n in 0..5000_usize {
            let _ = queue.push(header(Level::INFO), &vec![0; n % 100]);
        }
        assert!(queue.look() > 1);
        let lengths: Vec<_> = (0..5000).map(|n| format!("INFO {}", n % 100)).collect();
        assert_eq!(shown(&queue), lengths);
    }
}
