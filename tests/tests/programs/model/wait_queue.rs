//! A wait queue, which wakes the waiters in the order in which they came.

use std::collections::BTreeMap;

/// An entry in a wait queue.
#[derive(Debug, Default)]
pub(crate) struct WaiterKey(pub(super) Option<u64>);

/// A wait queue, which wakes the waiters in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct WaitQueue {
    wakers: BTreeMap<u64, usize>,
    last: u64,
}

pub(super) enum Left {
    /// It was not woken, or not registered.
    Quietly,
    /// It was woken.
    Woken,
}

impl WaitQueue {
    pub(super) fn register(&mut self, key: &mut WaiterKey, counter: usize) {
        let key = *key.0.get_or_insert_with(|| {
            self.last += 1;
            self.last
        });
        self.wakers.insert(key, counter);
    }

    pub(super) fn leave(&mut self, key: &mut WaiterKey) -> Left {
        match key.0.take() {
            Some(key) if self.wakers.remove(&key).is_none() => Left::Woken,
            _ => Left::Quietly,
        }
    }

    /// The number of waiters before an entry.
    pub(super) fn ahead_of(&self, key: &WaiterKey) -> usize {
        match key.0 {
            Some(key) => self.wakers.range(..key).count(),
            None => self.wakers.len(),
        }
    }

    pub(super) fn pop(&mut self) -> Option<usize> {
        self.wakers.pop_first().map(|(_, counter)| counter)
    }

    pub(super) fn take_all(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.wakers).into_values().collect()
    }
}
