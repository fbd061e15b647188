//! The last snapshot, for a short time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a snapshot is good for.
const FRESH: Duration = Duration::from_millis(200);

/// The last snapshot.
#[derive(Debug)]
pub(crate) struct Cache<T>(Mutex<Option<(Instant, Arc<T>)>>);

impl<T> Cache<T> {
    /// Returns the last snapshot if it is fresh, and otherwise a new one.
    pub(crate) fn get(&self, read: impl FnOnce() -> T) -> Arc<T> {
        // Nobody waits here for long: there is one reader at a time but for the thread of links.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((at, value)) if at.elapsed() < FRESH => Arc::clone(value),
            _ => {
                let value = Arc::new(read());
                *last = Some((Instant::now(), Arc::clone(&value)));
                value
            }
        }
    }

    /// Forgets the snapshot, after a change.
    pub(crate) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}
