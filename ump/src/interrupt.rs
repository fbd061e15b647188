//! Getting receivers that wait with a deadline back before it, without a request.
//!
//! ```text
//!              raise, nobody sleeps             one comes to sleep, and does not
//!   nothing ─────────────────────────► kept ──────────────────────────────────► nothing
//!      └───────────────────────────────────────────────────────────────────────► nothing
//!              raise, some sleep: all of them are woken
//! ```
//!
//! As the token of `std::thread::park`, but for whoever sleeps here. A receiver passes by only when it has found no request and is about to
//! sleep, and when it wakes up: requests pay nothing.
//!
//! # Invariants
//!
//! 1. While one is kept nobody is in line: so it is not kept from who could use it.
//! 2. One that was raised is used up by a receiver that returns empty-handed for it, or raised again.

#![forbid(unsafe_code)]

use crate::{
    sync::Mutex,
    waiter::{Left, Turn, Waiter, Waiters},
};

pub(crate) struct Interruptions(Mutex<State>);

#[derive(Default)]
struct State {
    kept: bool,
    sleepers: Waiters,
}

impl Interruptions {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State::default()))
    }

    /// Wakes all who sleep; kept if nobody does.
    pub(crate) fn raise(&self) {
        let mut state = self.0.lock();
        state.kept |= state.sleepers.is_empty();
        let sleepers = state.sleepers.take_all();
        drop(state);
        sleepers.for_each(Waiter::wake);
    }

    /// Announces that one is about to sleep. False if it is not to, for an interruption that is thereby used up.
    pub(crate) fn enrol(&self, turn: &mut Turn, sleeper: Waiter) -> bool {
        let mut state = self.0.lock();
        if std::mem::take(&mut state.kept) {
            return false;
        }
        let replaced = state.sleepers.enrol(turn, sleeper);
        drop(state);
        drop(replaced);
        true
    }

    /// Announces that one is awake again. Tells whether it was interrupted, which thereby is used up.
    pub(crate) fn leave(&self, turn: &mut Turn) -> bool {
        let left = self.0.lock().sleepers.leave(turn);
        matches!(left, Left::Woken)
    }
}
