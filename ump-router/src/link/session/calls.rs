//! Requests of this end, and requests of the peer, that have not ended.
//!
//! ```text
//! of this end:   queued ──► sent ──► taken ──► ended: one outcome, the entry is removed
//!                  │          └─┬──────┘
//!                  ▼            ▼ cancelled, expired: one outcome
//!                ended      abandoned ──► the answer of the peer removes the entry
//!
//! of the peer:   delivered ──► taken ──► answered
//!                    └────────────┴────► withdrawn: cancelled, or expired before it was taken
//! ```
//!
//! The peer answers each request once, also one that was cancelled. An entry counts until then, so
//! that both ends count alike, and its id is not used again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::event::Progress;

/// The state of a request of this end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It has no outcome yet.
    Pending(Progress),
    /// It has its outcome, and the answer of the peer is still to come.
    Abandoned,
}

/// The state of a request of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    Delivered,
    Taken,
}

/// Requests with deadlines.
#[derive(Debug)]
pub(super) struct Calls<S> {
    states: BTreeMap<u64, (S, Option<Instant>)>,
    deadlines: BTreeSet<(Instant, u64)>,
    last: u64,
}

impl<S> Default for Calls<S> {
    fn default() -> Self {
        Self {
            states: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            last: 0,
        }
    }
}

impl<S: Copy> Calls<S> {
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// The highest id so far.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Inserts a request whose id is higher than the last one.
    pub(super) fn insert(&mut self, id: u64, state: S, deadline: Option<Instant>) {
        debug_assert!(id > self.last);
        self.last = id;
        self.states.insert(id, (state, deadline));
        self.deadlines.extend(deadline.map(|it| (it, id)));
    }

    pub(super) fn get(&self, id: u64) -> Option<S> {
        self.states.get(&id).map(|(state, _)| *state)
    }

    pub(super) fn set(&mut self, id: u64, state: S) {
        if let Some(entry) = self.states.get_mut(&id) {
            entry.0 = state;
        }
    }

    /// Forgets the deadline of a request.
    pub(super) fn clear_deadline(&mut self, id: u64) {
        if let Some(deadline) = self.states.get_mut(&id).and_then(|it| it.1.take()) {
            self.deadlines.remove(&(deadline, id));
        }
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<S> {
        self.clear_deadline(id);
        self.states.remove(&id).map(|(state, _)| state)
    }

    pub(super) fn take_all(&mut self) -> impl Iterator<Item = (u64, S)> + use<S> {
        self.deadlines.clear();
        let states = std::mem::take(&mut self.states);
        states.into_iter().map(|(id, (state, _))| (id, state))
    }

    pub(super) fn first_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Returns a request whose deadline has passed.
    pub(super) fn first_expired(&self, now: Instant) -> Option<u64> {
        let (deadline, id) = self.deadlines.first()?;
        (*deadline <= now).then_some(*id)
    }
}
