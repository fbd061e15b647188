//! Statistics of the store.

use std::sync::atomic::{AtomicU64, Ordering};

use super::recent::Recent;

/// The statistics of the store. They outlive its restarts.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) batch_sizes: Recent,
    batches: AtomicU64,
    expiring: AtomicU64,
}

impl Gauges {
    /// Counts a batch, and returns its number, from one.
    pub(crate) fn count_batch(&self, size: usize) -> u64 {
        self.batch_sizes.record(size as u64);
        // ORDERING: pairs with nothing; a count.
        self.batches.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Sets the number of keys that will expire or are due.
    pub(crate) fn set_expiring(&self, keys: usize) {
        // ORDERING: pairs with nothing; a statistic.
        self.expiring.store(keys as u64, Ordering::Relaxed);
    }

    pub(crate) fn expiring(&self) -> u64 {
        // ORDERING: pairs with nothing; a statistic.
        self.expiring.load(Ordering::Relaxed)
    }
}
