//! The readiness of a socket, and what the loop has still to report, in one word.
//!
//! The selector reports *edges*: a change for the better, once. The word keeps them until the
//! handler has used them up, so that the handler sees *levels*. It consists of flags and a tick.
//! Each report of the selector raises the tick. A read or write that would block clears the flag of
//! its direction only if the tick is still the one from before the system call. So it never wipes
//! out a report that came meanwhile (tokio's `ScheduledIo` does the same).
//!
//! # Invariants
//!
//! 1. `QUEUED` is set exactly while the socket is in the loop's ready list, in the list of
//!    injected sockets, or being delivered. The operation that sets it puts the socket there; only
//!    the loop clears it, after it has taken the socket out.
//! 2. If there is an event to report ([`Word::pending`]), `QUEUED` is set: each operation that
//!    could make an event pending checks it in the same atomic step.
//! 3. After `DROPPED` is set there is no event to report, for ever.

#![allow(
    unreachable_pub,
    clippy::must_use_candidate,
    reason = "public in models only"
)]

use crate::sync::{AtomicU64, Ordering};

/// The selector has reported data, or a pending error.
pub const READABLE: u64 = 1;
/// The selector has reported room to write.
pub const WRITABLE: u64 = 1 << 1;
/// The peer will send no more: after the buffered data a read returns 0.
pub const READ_CLOSED: u64 = 1 << 2;
/// Both directions are closed, or the connection was reset.
pub const HUNG_UP: u64 = 1 << 3;
/// Nothing is known yet about this direction, so a read or write makes the system call.
pub const MAYBE_READABLE: u64 = 1 << 4;
pub const MAYBE_WRITABLE: u64 = 1 << 5;
/// A read has returned 0 or an error: there is nothing more to read.
pub const READ_ENDED: u64 = 1 << 6;
/// The handler wants no `Readable`.
pub const PAUSED: u64 = 1 << 7;
/// The handler wants the next `Writable`.
pub const WANTS_WRITE: u64 = 1 << 8;
/// An error is waiting to be reported.
pub const FAILED: u64 = 1 << 9;
/// `Closed` was reported.
pub const CLOSED_REPORTED: u64 = 1 << 10;
/// See invariant 1.
const QUEUED: u64 = 1 << 11;
/// The handle was dropped.
pub const DROPPED: u64 = 1 << 12;
/// The connection is being made.
pub const CONNECTING: u64 = 1 << 13;
/// A listener accepts nothing until its pause is over.
pub const BACKING_OFF: u64 = 1 << 14;
/// The last event was `Writable`, so the next one is `Readable` if there are both.
const WROTE_LAST: u64 = 1 << 15;

/// If none of these is set, a read would block.
pub const MAY_READ: u64 = READABLE | READ_CLOSED | HUNG_UP | MAYBE_READABLE | READ_ENDED;
/// If none of these is set, a write would block.
pub const MAY_WRITE: u64 = WRITABLE | HUNG_UP | MAYBE_WRITABLE;

const ONE_TICK: u64 = 1 << 32;
const TICK: u64 = !(ONE_TICK - 1);

/// An event to report, or a step for the loop itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// The outcome of a connect.
    Connect,
    Failure,
    Readable,
    Writable,
    Closed,
}

/// The value of the word at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(u64);

impl Word {
    pub fn has(self, flags: u64) -> bool {
        self.0 & flags != 0
    }

    /// Returns the next event to report.
    fn pending(self) -> Option<Pending> {
        if self.has(DROPPED | BACKING_OFF) {
            return None;
        }
        if self.has(FAILED) {
            return Some(Pending::Failure);
        }
        if self.has(CONNECTING) {
            return self.has(WRITABLE | HUNG_UP).then_some(Pending::Connect);
        }
        let writable = self.has(WANTS_WRITE) && self.has(WRITABLE | HUNG_UP);
        let wants_read = !self.has(PAUSED | READ_ENDED);
        let readable = wants_read && self.has(READABLE | READ_CLOSED | HUNG_UP);
        if writable && !(readable && self.has(WROTE_LAST)) {
            Some(Pending::Writable)
        } else if readable {
            Some(Pending::Readable)
        } else if self.has(HUNG_UP) && !wants_read && !self.has(CLOSED_REPORTED) {
            Some(Pending::Closed)
        } else {
            None
        }
    }
}

/// The readiness of a socket. See the module.
#[derive(Debug)]
pub struct Readiness(AtomicU64);

impl Readiness {
    pub fn new(flags: u64) -> Self {
        Self(AtomicU64::new(flags))
    }

    #[inline]
    pub fn load(&self) -> Word {
        // ORDERING: Acquire pairs with the Release of `update`.
        Word(self.0.load(Ordering::Acquire))
    }

    /// Changes the word. Returns whether the caller has to put the socket into a list (invariant
    /// 1).
    #[inline]
    #[must_use = "an event that is not queued is never reported"]
    fn update(&self, change: impl Fn(u64) -> u64) -> bool {
        // ORDERING: Relaxed: the exchange below checks the value.
        let mut known = self.0.load(Ordering::Relaxed);
        loop {
            let changed = change(known);
            let queues = changed & QUEUED == 0 && Word(changed).pending().is_some();
            let next = if queues { changed | QUEUED } else { changed };
            if next == known {
                return false;
            }
            // ORDERING: AcqRel: each change happens after the one before it, whichever thread made
            // it: the error of `FAILED` is visible to the loop, for instance.
            let changed =
                self.0
                    .compare_exchange_weak(known, next, Ordering::AcqRel, Ordering::Relaxed);
            match changed {
                Ok(_) => return queues,
                Err(other) => known = other,
            }
        }
    }

    /// Records a report of the selector.
    #[inline]
    #[must_use = "an event that is not queued is never reported"]
    pub fn report(&self, flags: u64) -> bool {
        self.update(|word| (word | flags).wrapping_add(ONE_TICK))
    }

    /// Sets and clears flags.
    #[must_use = "an event that is not queued is never reported"]
    pub fn change(&self, set: u64, clear: u64) -> bool {
        self.update(|word| word & !clear | set)
    }

    /// Clears the readiness of a direction that was used up, unless the selector has reported
    /// anything since `seen`. Sets other flags in any case.
    #[inline]
    #[must_use = "an event that is not queued is never reported"]
    pub fn used_up(&self, seen: Word, clear: u64, set: u64) -> bool {
        self.update(|word| {
            let is_current = word & TICK == seen.0 & TICK;
            (if is_current { word & !clear } else { word }) | set
        })
    }

    /// Takes the next event to report. The socket stays queued until [`settle`](Self::settle).
    #[inline]
    pub fn take(&self) -> Option<(Pending, Word)> {
        let seen = self.load();
        let pending = seen.pending()?;
        let (set, clear) = match pending {
            Pending::Readable if seen.has(WROTE_LAST) => (0, WROTE_LAST),
            Pending::Readable | Pending::Connect => return Some((pending, seen)),
            Pending::Writable => (WROTE_LAST, WANTS_WRITE),
            Pending::Failure => (0, FAILED),
            Pending::Closed => (CLOSED_REPORTED, 0),
        };
        let queues = self.change(set, clear);
        debug_assert!(!queues, "it is queued (invariant 1)");
        Some((pending, seen))
    }

    /// Ends the delivery of an event. Returns whether the socket stays queued, for the next one.
    #[inline]
    pub fn settle(&self) -> bool {
        let mut known = self.0.load(Ordering::Relaxed);
        loop {
            if Word(known).pending().is_some() {
                return true;
            }
            // ORDERING: AcqRel, as in `update`.
            let settled = self.0.compare_exchange_weak(
                known,
                known & !QUEUED,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            match settled {
                Ok(_) => return false,
                Err(other) => known = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_a_read_that_would_block() {
        let socket = Readiness::new(0);
        assert!(socket.report(READABLE));
        let seen = socket.load();
        assert!(!socket.report(READABLE), "it is queued already");
        assert!(!socket.used_up(seen, READABLE, 0));
        assert!(socket.load().has(READABLE));
        let seen = socket.load();
        assert!(!socket.used_up(seen, READABLE, 0));
        assert!(!socket.load().has(READABLE));
        assert!(!socket.settle());
        assert!(socket.report(READABLE));
    }

    #[test]
    fn writable_comes_once_and_only_when_asked() {
        let socket = Readiness::new(0);
        assert!(!socket.report(WRITABLE));
        assert!(socket.change(WANTS_WRITE, 0));
        assert_eq!(socket.take().unwrap().0, Pending::Writable);
        assert!(!socket.settle());
        assert!(!socket.report(WRITABLE));
    }

    #[test]
    fn reading_and_writing_take_turns() {
        let socket = Readiness::new(0);
        assert!(socket.change(WANTS_WRITE, 0) | socket.report(READABLE | WRITABLE));
        let next = || {
            let taken = socket.take().unwrap().0;
            assert!(!socket.change(WANTS_WRITE, 0)); // and the next write is short again
            taken
        };
        let taken = [next(), next(), next(), next()];
        let [write, read] = [Pending::Writable, Pending::Readable];
        assert_eq!(taken, [write, read, write, read]);
    }

    #[test]
    fn hang_up_is_reported_after_the_data_or_in_a_pause() {
        let socket = Readiness::new(0);
        assert!(socket.report(READABLE | READ_CLOSED | HUNG_UP));
        assert_eq!(socket.take().unwrap().0, Pending::Readable);
        let seen = socket.load();
        assert!(!socket.used_up(seen, READABLE, READ_ENDED));
        assert_eq!(socket.take().unwrap().0, Pending::Closed);
        assert!(!socket.settle());

        let paused = Readiness::new(PAUSED);
        assert!(paused.report(READABLE | HUNG_UP));
        assert_eq!(paused.take().unwrap().0, Pending::Closed);
        assert!(!paused.settle());
        assert!(paused.change(0, PAUSED), "the data is still there");
    }

    #[test]
    fn a_dropped_socket_reports_nothing() {
        let socket = Readiness::new(0);
        assert!(socket.report(READABLE));
        assert!(!socket.change(DROPPED, 0));
        assert!(socket.take().is_none() && !socket.settle());
        assert!(!socket.report(READABLE));
    }
}
