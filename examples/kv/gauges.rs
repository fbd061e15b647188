//! What the store tells of itself besides its answers.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use serde_json::{Value, json};
use ump_server::Timers;

use crate::{expiries::Token, recent::Recent};

/// Kept beside the store, as it outlives its handlers.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) batch_sizes: Recent,
    batches: AtomicU64,
    expiring: AtomicU64,
    opened: Mutex<Opened>,
}

#[derive(Debug, Default)]
struct Opened {
    restarts: u64,
    /// Those of the handler at work.
    timers: Option<Timers<Token>>,
}

impl Gauges {
    /// The database has been opened, after so many restarts.
    pub(crate) fn opened(&self, restarts: u64, timers: Timers<Token>) {
        let timers = Some(timers);
        *self.lock() = Opened { restarts, timers };
    }

    /// Returns the number of this batch, from one.
    pub(crate) fn count_batch(&self, size: usize) -> u64 {
        self.batch_sizes.record(size as u64);
        self.batches.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// So many keys are to expire, or have and are still in the file.
    pub(crate) fn set_expiring(&self, keys: usize) {
        self.expiring.store(keys as u64, Ordering::Relaxed);
    }

    pub(crate) fn store(&self) -> Value {
        let opened = self.lock();
        json!({
            "restarts": opened.restarts,
            "expiring": self.expiring.load(Ordering::Relaxed),
            "timers": opened.timers.as_ref().map_or(0, Timers::len),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
