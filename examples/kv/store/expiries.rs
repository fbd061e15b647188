//! A timer for each key that expires.
//!
//! ```text
//!             a write with a TTL, a start                  its timer
//!   no timer ─────────────────────────────► armed ───────────────────────────► due ──▶ removed by the next sweep
//!      ▲                                     │  ▲ a write with another TTL       │
//!      └─────────────────────────────────────┘  └────────────────────────────────┘
//!        a write without one, a delete              the wall clock is behind
//! ```
//!
//! A removal is a write to the disk, so keys that are due at the same time share one sweep. The
//! sweep is a timer with a delay of zero, which fires after all timers that are due by then. Reads
//! do not depend on any of this; see [`View`](super::database::View).

use std::{collections::HashMap, mem, time::Duration};

use ump_server::{TimerId, Timers};

use super::key::Key;

/// The largest number of keys removed in one transaction, for which requests wait.
const MAX_SWEEP: usize = 1000;

/// The token of a timer of the store.
#[derive(Debug)]
pub(crate) enum TimerToken {
    /// A key is due.
    Due(Key),
    /// The due keys are to be removed.
    Sweep,
}

#[derive(Debug)]
pub(crate) struct Expiries {
    timers: Timers<TimerToken>,
    armed: HashMap<Key, TimerId>,
    due: Vec<Key>,
    /// Whether a sweep is armed. It is whenever a key is due.
    sweep_armed: bool,
}

impl Expiries {
    pub(crate) fn new(timers: Timers<TimerToken>) -> Self {
        Self {
            timers,
            armed: HashMap::new(),
            due: Vec::new(),
            sweep_armed: false,
        }
    }

    /// Returns the number of keys that will expire, or are due.
    pub(crate) fn len(&self) -> usize {
        self.armed.len() + self.due.len()
    }

    /// Arms or replaces the timer of a key.
    pub(crate) fn arm(&mut self, key: Key, delay: Duration) {
        let timer = self.timers.once(delay, TimerToken::Due(key.clone()));
        if let Some(old) = self.armed.insert(key, timer) {
            self.timers.cancel(old);
        }
    }

    /// Cancels the timer of a key.
    pub(crate) fn disarm(&mut self, key: &Key) {
        if let Some(timer) = self.armed.remove(key) {
            self.timers.cancel(timer);
        }
    }

    /// Marks a key as due when its timer fires.
    pub(crate) fn mark_due(&mut self, key: Key) {
        self.armed.remove(&key);
        self.due.push(key);
        self.arm_sweep();
    }

    /// Returns the keys that a sweep removes. [`finish_sweep`](Self::finish_sweep) follows.
    pub(crate) fn take_due(&mut self) -> Vec<Key> {
        self.sweep_armed = false;
        let rest = self.due.split_off(self.due.len().min(MAX_SWEEP));
        mem::replace(&mut self.due, rest)
    }

    /// Arms another sweep for the rest.
    pub(crate) fn finish_sweep(&mut self) {
        self.arm_sweep();
    }

    fn arm_sweep(&mut self) {
        if !self.sweep_armed && !self.due.is_empty() {
            self.timers.once(Duration::ZERO, TimerToken::Sweep);
            self.sweep_armed = true;
        }
    }
}
