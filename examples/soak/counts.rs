//! The counts of callers and handlers, compared with those of the channel.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use ump::Stats;

#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    // ORDERING: relaxed, here and below; the counters are read after their threads were joined, or
    // for the progress line only.

    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The observations of the callers and handlers of one channel.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// Requests and posts that were made.
    pub(crate) made: Count,
    pub(crate) replied: Count,
    pub(crate) failed: Count,
    pub(crate) no_reply: Count,
    pub(crate) panicked: Count,
    pub(crate) timeout_taken: Count,
    pub(crate) cancelled_taken: Count,
    /// Returned to the caller after the deadline.
    pub(crate) late: Count,
    /// Returned to the caller, or dropped for it, because the server had gone.
    pub(crate) server_gone: Count,
    /// Returned to the caller because the queue was full.
    pub(crate) full: Count,
    /// Dropped without having been handled or reported.
    pub(crate) lapsed: Count,
}

/// The counts of all channels that have ended: each line as the participants and as the channels
/// counted it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Comparison {
    channels: u64,
    lines: [[u64; 2]; NAMES.len()],
}

const NAMES: [&str; 8] = [
    "requests and posts",
    "replied",
    "failed by the handler",
    "dropped by the handler",
    "panicked",
    "timed out, taken",
    "cancelled, taken",
    "not executed",
];

impl Comparison {
    /// Compares the counts of one channel that is quiet.
    pub(crate) fn of(observed: &Observed, stats: &Stats) -> Self {
        let Stats {
            refused,
            server_disappeared,
            timeout_queued,
            cancelled_queued,
            ..
        } = *stats;
        let not_executed = [
            &observed.late,
            &observed.server_gone,
            &observed.full,
            &observed.lapsed,
        ];
        Self {
            channels: 1,
            lines: [
                [observed.made.get(), stats.accepted + refused],
                [observed.replied.get(), stats.replied],
                [observed.failed.get(), stats.failed],
                [observed.no_reply.get(), stats.no_reply],
                [observed.panicked.get(), stats.panicked],
                [observed.timeout_taken.get(), stats.timeout_taken],
                [observed.cancelled_taken.get(), stats.cancelled_taken],
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

    /// Returns a description of what does not agree.
    pub(crate) fn mismatch(&self) -> Option<String> {
        let lines = NAMES.iter().zip(self.lines);
        let differs = lines.filter(|(_, [seen, counted])| seen != counted);
        let mismatches: Vec<_> = differs
            .map(|(name, [seen, counted])| format!("{name}: seen {seen}, counted {counted}"))
            .collect();
        let ended: u64 = self.lines[1..].iter().map(|[_, counted]| counted).sum();
        if !mismatches.is_empty() {
            Some(mismatches.join("; "))
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

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [seen, counted] = ["by the participants", "by the channels"];
        writeln!(f, "{:24}{seen:>24}{counted:>18}", "")?;
        for (name, [seen, counted]) in NAMES.iter().zip(self.lines) {
            writeln!(f, "{name:24}{seen:>24}{counted:>18}")?;
        }
        write!(f, "{:24}{:>42}", "channels", self.channels)
    }
}
