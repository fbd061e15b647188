//! A timer for each key that is to expire.
//!
//! ```text
//!             a write with a TTL, a start                  its timer
//!   immortal ─────────────────────────────► armed ───────────────────────────► due ──▶ removed by the next sweep
//!      ▲                                     │  ▲ a write with another TTL       │
//!      └─────────────────────────────────────┘  └────────────────────────────────┘
//!        a write without one, a delete              the wall clock says later
//! ```
//!
//! A removal has to be written to the disk like anything else, so those that are due at the same time share one sweep: a timer that comes at once, which
//! is after all that are due by then. What is read does not depend on any of this; see [`View`](crate::database::View).

use std::{collections::HashMap, mem, time::Duration};

use ump_server::{TimerId, Timers};

use crate::key::Key;

/// The largest number of keys removed in one transaction: requests wait that long.
const MAX_SWEEP: usize = 1000;

/// What the timers of the store carry.
#[derive(Debug)]
pub(crate) enum Token {
    /// This key is due.
    Due(Key),
    /// Those that are due are to be removed.
    Sweep,
}

#[derive(Debug)]
pub(crate) struct Expiries {
    timers: Timers<Token>,
    armed: HashMap<Key, TimerId>,
    due: Vec<Key>,
    /// Whether a sweep is armed: always, if any are due.
    sweeps: bool,
}

impl Expiries {
    pub(crate) fn new(timers: Timers<Token>) -> Self {
        Self {
            timers,
            armed: HashMap::new(),
            due: Vec::new(),
            sweeps: false,
        }
    }

    /// How many keys there are that are to expire, or to be removed.
    pub(crate) fn len(&self) -> usize {
        self.armed.len() + self.due.len()
    }

    /// The key is to expire after so long, and not at another time.
    pub(crate) fn arm(&mut self, key: Key, delay: Duration) {
        let timer = self.timers.once(delay, Token::Due(key.clone()));
        if let Some(old) = self.armed.insert(key, timer) {
            self.timers.cancel(old);
        }
    }

    /// The key is not to expire.
    pub(crate) fn disarm(&mut self, key: &Key) {
        if let Some(timer) = self.armed.remove(key) {
            self.timers.cancel(timer);
        }
    }

    /// Its timer has come.
    pub(crate) fn fall_due(&mut self, key: Key) {
        self.armed.remove(&key);
        self.due.push(key);
        self.sweep_if_due();
    }

    /// What the sweep that has come is to remove; then it is up to [`go_on`](Self::go_on).
    pub(crate) fn take_due(&mut self) -> Vec<Key> {
        self.sweeps = false;
        let rest = self.due.split_off(self.due.len().min(MAX_SWEEP));
        mem::replace(&mut self.due, rest)
    }

    /// The sweep is done: another one for the rest, if there is one.
    pub(crate) fn go_on(&mut self) {
        self.sweep_if_due();
    }

    fn sweep_if_due(&mut self) {
        if !self.sweeps && !self.due.is_empty() {
            self.timers.once(Duration::ZERO, Token::Sweep);
            self.sweeps = true;
        }
    }
}
