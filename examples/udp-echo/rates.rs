//! Rates and latencies, in total and since the last line.

use std::{
    fmt::{self, Display},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

/// Counts datagrams and their bytes.
#[derive(Debug)]
pub(crate) struct Rate {
    begin: Instant,
    packets: u64,
    bytes: u64,
    /// The time and the counts of the last line.
    last: (Instant, u64, u64),
}

impl Rate {
    pub(crate) fn new() -> Self {
        let begin = Instant::now();
        Self {
            begin,
            packets: 0,
            bytes: 0,
            last: (begin, 0, 0),
        }
    }

    pub(crate) fn count(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }

    pub(crate) fn total(&self) -> u64 {
        self.packets
    }

    /// Returns the rate since the last line, and begins another line. `None` if nothing happened.
    pub(crate) fn since_last(&mut self) -> Option<String> {
        let now = Instant::now();
        let (since, packets, bytes) = self.last;
        self.last = (now, self.packets, self.bytes);
        if self.packets == packets {
            return None;
        }
        let second = now.duration_since(self.begin).as_secs_f64();
        let rate = per_second(
            self.packets - packets,
            self.bytes - bytes,
            now.duration_since(since),
        );
        Some(format!("{second:6.1} s  {rate}"))
    }
}

/// The whole.
impl Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elapsed = self.begin.elapsed();
        let rate = per_second(self.packets, self.bytes, elapsed);
        let seconds = elapsed.as_secs_f64();
        write!(f, "{} packets in {seconds:.1} s, {rate}", self.packets)
    }
}

fn per_second(packets: u64, bytes: u64, elapsed: Duration) -> String {
    #[allow(clippy::cast_precision_loss, reason = "it is rounded anyway")]
    let [packets, bytes] = [packets, bytes].map(|n| n as f64 / elapsed.as_secs_f64().max(1e-9));
    format!("{packets:.0} packets/s  {:.2} MB/s", bytes / 1e6)
}

/// The time from sending to receiving, in total and since the last line.
#[derive(Debug)]
pub(crate) struct Latency {
    total: Histogram<u64>,
    interval: Histogram<u64>,
}

impl Latency {
    pub(crate) fn new() -> Self {
        // In nanoseconds, to a thousandth.
        let empty = || Histogram::new(3).expect("three digits are possible");
        Self {
            total: empty(),
            interval: empty(),
        }
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.interval.saturating_record(nanoseconds);
    }

    /// Returns the percentiles since the last line, and begins another line.
    pub(crate) fn since_last(&mut self) -> String {
        let text = percentiles(&self.interval);
        self.turn();
        text
    }

    /// Returns the percentiles of all.
    pub(crate) fn total(&mut self) -> String {
        self.turn();
        percentiles(&self.total)
    }

    fn turn(&mut self) {
        self.total
            .add(&self.interval)
            .expect("they have the same precision");
        self.interval.reset();
    }
}

fn percentiles(of: &Histogram<u64>) -> String {
    if of.is_empty() {
        return "no answers".to_owned();
    }
    #[allow(clippy::cast_precision_loss, reason = "it is rounded anyway")]
    let [p50, p90, p99, max] =
        [0.5, 0.9, 0.99, 1.0].map(|quantile| of.value_at_quantile(quantile) as f64 / 1000.0);
    format!("latency in µs: p50 {p50:.1}, p90 {p90:.1}, p99 {p99:.1}, max {max:.1}")
}
