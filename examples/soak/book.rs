//! The books: what callers and handlers have seen of a channel, and whether that is what the channel has counted.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use ump::Stats;

#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    // Relaxed, here and below: read when those who count have been joined, or for the progress line.

    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What was seen of one channel.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Requests and posts that were made.
    pub(crate) made: Count,
    pub(crate) replied: Count,
    pub(crate) failed: Count,
    pub(crate) no_reply: Count,
    pub(crate) panicked: Count,
    pub(crate) timeout_taken: Count,
    pub(crate) cancelled_taken: Count,
    /// Came back to the caller: too late.
    pub(crate) late: Count,
    /// Came back to the caller, or was dropped for it: the server had gone.
    pub(crate) gone: Count,
    /// Came back to the caller: full.
    pub(crate) full: Count,
    /// Dropped without having been handled; nobody was told.
    pub(crate) lapsed: Count,
}

/// The books of all channels that have ended: each line as it was seen, and as it was counted by the channels.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ledger {
    channels: u64,
    lines: [[u64; 2]; NAMES.len()],
}

const NAMES: [&str; 8] = [
    "requests and posts",
    "replied",
    "refused by the handler",
    "let go of",
    "panicked",
    "timed out, taken",
    "cancelled, taken",
    "not executed",
];

impl Ledger {
    /// Those of one channel on which nothing happens any more.
    pub(crate) fn of(book: &Book, stats: &Stats) -> Self {
        let Stats {
            refused,
            server_disappeared,
            timeout_queued,
            cancelled_queued,
            ..
        } = *stats;
        let not_executed = [&book.late, &book.gone, &book.full, &book.lapsed];
        Self {
            channels: 1,
            lines: [
                [book.made.get(), stats.accepted + refused],
                [book.replied.get(), stats.replied],
                [book.failed.get(), stats.failed],
                [book.no_reply.get(), stats.no_reply],
                [book.panicked.get(), stats.panicked],
                [book.timeout_taken.get(), stats.timeout_taken],
                [book.cancelled_taken.get(), stats.cancelled_taken],
                [
                    not_executed.iter().map(|count| count.get()).sum(),
                    timeout_queued + server_disappeared + cancelled_queued + refused,
                ],
            ],
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.channels += other.channels;
        for (sum, line) in self.lines.iter_mut().zip(other.lines) {
            sum[0] += line[0];
            sum[1] += line[1];
        }
    }

    /// What does not agree.
    pub(crate) fn complaint(&self) -> Option<String> {
        let lines = NAMES.iter().zip(self.lines);
        let differs = lines.filter(|(_, [seen, counted])| seen != counted);
        let complaints: Vec<_> = differs
            .map(|(name, [seen, counted])| format!("{name}: seen {seen}, counted {counted}"))
            .collect();
        let ended: u64 = self.lines[1..].iter().map(|[_, counted]| counted).sum();
        if !complaints.is_empty() {
            Some(complaints.join("; "))
        } else if ended != self.lines[0][1] {
            Some(format!(
                "{} were made, and {ended} have ended",
                self.lines[0][1]
            ))
        } else {
            None
        }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [seen, counted] = ["by those who took part", "by the channels"];
        writeln!(f, "{:24}{seen:>24}{counted:>18}", "")?;
        for (name, [seen, counted]) in NAMES.iter().zip(self.lines) {
            writeln!(f, "{name:24}{seen:>24}{counted:>18}")?;
        }
        write!(f, "{:24}{:>42}", "channels", self.channels)
    }
}
