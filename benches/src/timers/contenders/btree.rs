//! The simplest structure: a sorted map by deadline.

use std::collections::BTreeMap;

use super::Queue;

pub(in super::super) struct Sorted {
    timers: BTreeMap<(u64, u64), u64>,
    armed: u64,
}

impl Queue for Sorted {
    type Id = (u64, u64);

    fn new() -> Self {
        Self {
            timers: BTreeMap::new(),
            armed: 0,
        }
    }

    #[inline]
    fn arm(&mut self, at: u64, token: u64) -> (u64, u64) {
        self.armed += 1;
        self.timers.insert((at, self.armed), token);
        (at, self.armed)
    }

    #[inline]
    fn cancel(&mut self, id: (u64, u64)) {
        assert!(self.timers.remove(&id).is_some());
    }

    fn look(&mut self, now: u64) -> usize {
        let mut count = 0;
        while let Some(first) = self
            .timers
            .first_entry()
            .filter(|first| first.key().0 <= now)
        {
            first.remove();
            count += 1;
        }
        count
    }
}
