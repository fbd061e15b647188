//! The distribution of recent samples, such as latencies and batch sizes.
//!
//! It keeps the last few thousand and sorts them on demand: exact, small, and old samples drop out.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

const KEEP: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    values: Vec<u64>,
    oldest: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    samples: usize,
    p50: u64,
    p90: u64,
    p99: u64,
    p999: u64,
    max: u64,
}

impl Recent {
    pub(crate) fn record(&self, value: u64) {
        let mut ring = self.ring();
        if ring.values.len() < KEEP {
            ring.values.push(value);
        } else {
            let oldest = ring.oldest;
            ring.values[oldest] = value;
            ring.oldest = (oldest + 1) % KEEP;
        }
    }

    pub(crate) fn summary(&self) -> Summary {
        let mut values = self.ring().values.clone();
        values.sort_unstable();
        // The smallest value that is not exceeded by this many of a thousand.
        let quantile = |per_mille: usize| {
            let rank = (values.len() * per_mille).div_ceil(1000);
            values.get(rank.saturating_sub(1)).copied().unwrap_or(0)
        };
        Summary {
            samples: values.len(),
            p50: quantile(500),
            p90: quantile(900),
            p99: quantile(990),
            p999: quantile(999),
            max: quantile(1000),
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
