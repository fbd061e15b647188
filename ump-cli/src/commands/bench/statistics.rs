//! Times of requests.

use std::time::Duration;

use serde_json::{Value as Json, json};

/// The most times that are kept of a client.
const MAX: usize = 4 << 20;

/// Times in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<u32>);

impl Times {
    pub(super) fn add(&mut self, time: Duration) {
        if self.0.len() < MAX {
            self.0
                .push(u32::try_from(time.as_nanos()).unwrap_or(u32::MAX));
        }
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Returns the median, two percentiles and the maximum, in microseconds.
    pub(super) fn summary(mut self) -> Json {
        self.0.sort_unstable();
        let at = |permille: usize| {
            let last = self.0.len().checked_sub(1)?;
            Some(f64::from(self.0[last * permille / 1000]) / 1000.0)
        };
        json!({"p50": at(500), "p99": at(990), "p999": at(999), "max": at(1000)})
    }
}

/// Returns how many a second, without a fraction.
#[allow(clippy::cast_precision_loss, reason = "a rate is no exact number")]
pub(super) fn rate(count: u64, time: Duration) -> f64 {
    (count as f64 / time.as_secs_f64().max(1e-9)).round()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_percentiles() {
        let mut times = Times::default();
        for micros in 1..=1000 {
            times.add(Duration::from_micros(micros));
        }
        let summary = times.summary();
        assert_eq!(
            summary,
            json!({"p50": 500.0, "p99": 990.0, "p999": 999.0, "max": 1000.0})
        );
        assert_eq!(Times::default().summary()["p50"], Json::Null);
        assert!((rate(10, Duration::from_secs(2)) - 5.0).abs() < 1e-9);
    }
}
