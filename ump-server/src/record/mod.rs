//! The record of a worker's current call. Only the worker writes it, by plain stores; any thread
//! reads it without stopping the worker.
//!
//! # Turns
//!
//! A *call* of the handler is for a request, a timer, `init` or `term`. During a call the handler
//! has control in *turns*: on a thread there is one per call, on a task one per poll. One word
//! holds the number of the turn and its phase:
//!
//! ```text
//!          begin                 resume                  claim, by the monitor
//!   IDLE ─────────▶ WAITING ──────────────▶ RUNNING ─────────────────────────▶ REPORTED
//!    ▲                │  ▲                    │ │                               │ │
//!    │                │  └────── pause ───────┘ │ end                   pause, end│ │
//!    └────── end ─────┴─────────────────────────┴───────────────────────────────┴─┘
//! ```
//!
//! `begin` and `resume` each take a new number, so the word never has the same value again.
//!
//! # Invariants
//!
//! 1. The description of a call is written before the store of `WAITING`, the start of a turn
//!    before the store of `RUNNING`. Both are written only after the store that ended the previous
//!    phase. All these stores are Release, and the loads are Acquire. So a reader that loads the
//!    same word before and after has read the values that belong to it. (This is a sequence lock
//!    whose sequence number is the word; see Boehm, "Can seqlocks get along with programming
//!    language memory models?", 2012.)
//! 2. The monitor reports a turn only if its compare-exchange from `RUNNING` to `REPORTED`
//!    succeeds. Then that very turn was still going on.
//! 3. The worker leaves a watched turn by a swap. Either the swap returns `REPORTED`, or the
//!    monitor will not find `RUNNING`.

mod interner;
mod stall;
mod status;
mod writer;

use std::{
    panic::Location,
    sync::atomic::{AtomicU8, AtomicU64 as Count},
    time::{Duration, Instant},
};

use ump::Clock;

use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

use self::interner::Interner;
pub use self::stall::{Stage, Stall};
pub use self::status::{InHand, WorkerState, WorkerStatus};
pub(crate) use self::writer::RecordWriter;

const IDLE: u64 = 0;
const WAITING: u64 = 1;
const RUNNING: u64 = 2;
const REPORTED: u64 = 3;
/// The mask of the phase. The bits above it are the number of the turn.
const PHASE: u64 = 3;
const ONE_TURN: u64 = PHASE + 1;

/// The time of a call that is not timed.
const UNTIMED: u64 = u64::MAX;
/// In place of the time at which a call was taken, if the worker does not read the clock: this bit,
/// and a number that tells the call from others. (As nanoseconds it would be 292 years.)
const UNTIMED_CALL: u64 = 1 << 63;

/// A worker's record.
#[derive(Debug)]
pub(crate) struct WorkerRecord {
    pub(crate) name: std::sync::Arc<str>,
    pub(crate) worker: usize,
    pub(crate) clock: Clock,
    /// The origin of the times, which are in nanoseconds.
    epoch: Instant,
    turn: AtomicU64,
    /// The numbers of the call's kind and its caller in the interners.
    what: AtomicU64,
    taken: AtomicU64,
    since: AtomicU64,
    kinds: Interner<str>,
    callers: Interner<Location<'static>>,
    /// The call without a time that a reader saw last, and when one saw it first. Of readers only.
    first_seen: Mutex<Option<(u64, Instant)>>,
    /// These three are for the status only.
    processed: Count,
    restarts: Count,
    state: AtomicU8,
}

/// The monitor's view of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Snapshot {
    /// The handler does not have control; this was its last turn.
    Away(Turn),
    /// The handler has had control since this instant.
    Running(Turn, Instant),
    /// The handler has control, and the turn was reported.
    Reported(Turn),
}

/// The number of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn(u64);

impl Turn {
    /// The number before that of the first turn.
    pub(crate) const NONE: Self = Self(0);
}

impl WorkerRecord {
    pub(crate) fn new(name: std::sync::Arc<str>, worker: usize, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            name,
            worker,
            epoch: clock.now(),
            clock,
            turn: AtomicU64::new(IDLE),
            what: AtomicU64::new(0),
            taken: AtomicU64::new(UNTIMED),
            since: AtomicU64::new(UNTIMED),
            kinds: Interner::new(),
            callers: Interner::new(),
            first_seen: Mutex::new(None),
            processed: Count::new(0),
            restarts: Count::new(0),
            state: AtomicU8::new(WorkerState::Starting as u8),
        })
    }

    /// Returns the present state of the worker's turn.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let word = self.turn.load(Ordering::Acquire);
        let turn = Turn(word & !PHASE);
        match word & PHASE {
            RUNNING => match self.instant(self.since.load(Ordering::Acquire)) {
                // ORDERING: Relaxed, by invariant 1. If the word differs, the turn is over, and the
                // next one has only just begun.
                Some(_) if self.turn.load(Ordering::Relaxed) != word => Snapshot::Away(turn),
                Some(since) => Snapshot::Running(turn, since),
                None => Snapshot::Away(turn),
            },
            REPORTED => Snapshot::Reported(turn),
            _ => Snapshot::Away(turn),
        }
    }

    /// Claims the turn for a report, and returns the kind and caller of its call; `None` if the
    /// turn is over.
    pub(crate) fn claim(
        &self,
        turn: Turn,
    ) -> Option<(&'static str, Option<&'static Location<'static>>)> {
        let what = self.what.load(Ordering::Acquire);
        // ORDERING: Release pairs with the Acquire of the worker's swap. Acquire orders this after
        // the worker's last command about an earlier turn.
        let claimed = self.turn.compare_exchange(
            turn.0 | RUNNING,
            turn.0 | REPORTED,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        claimed.is_ok().then(|| self.read(what))
    }

    fn read(&self, what: u64) -> (&'static str, Option<&'static Location<'static>>) {
        let [kind, caller] = unpack(what);
        (
            self.kinds.get(kind).unwrap_or_default(),
            self.callers.get(caller),
        )
    }

    fn state(&self) -> WorkerState {
        // ORDERING: Acquire pairs with the Release of `set_state`, so that what the worker did
        // before is visible.
        WorkerState::from_number(self.state.load(Ordering::Acquire))
    }

    fn set_state(&self, state: WorkerState) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// Returns the status of the worker.
    pub(crate) fn status(&self) -> WorkerStatus {
        WorkerStatus {
            worker: self.worker,
            state: self.state(),
            // ORDERING: Acquire pairs with the Release of the recorder's `end`.
            processed: self.processed.load(Ordering::Acquire),
            restarts: self.restarts.load(Ordering::Relaxed),
            in_hand: self.in_hand(),
        }
    }

    fn in_hand(&self) -> Option<InHand> {
        loop {
            let word = self.turn.load(Ordering::Acquire);
            if word & PHASE == IDLE {
                return None;
            }
            let what = self.what.load(Ordering::Acquire);
            let taken = self.taken.load(Ordering::Acquire);
            // ORDERING: Relaxed, by invariant 1.
            if self.turn.load(Ordering::Relaxed) == word {
                let (kind, caller) = self.read(what);
                return Some(InHand {
                    kind,
                    caller,
                    age: self.age(taken),
                    is_running: word & PHASE != WAITING,
                });
            }
            // The worker finishes its write within a few instructions.
            crate::sync::yield_now();
        }
    }

    /// How long the call has been in hand that was taken then; of one without a time, how long it
    /// has been seen.
    fn age(&self, taken: u64) -> Option<Duration> {
        let now = self.clock.now();
        let since = if taken & UNTIMED_CALL == 0 {
            self.instant(taken)?
        } else {
            let mut first_seen = self.first_seen.lock();
            match *first_seen {
                Some((call, at)) if call == taken => at,
                _ => {
                    *first_seen = Some((taken, now));
                    return None;
                }
            }
        };
        Some(now.saturating_duration_since(since))
    }

    fn nanoseconds(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.epoch);
        // The conversion fails after 584 years.
        u64::try_from(since.as_nanos()).unwrap_or(UNTIMED)
    }

    fn instant(&self, nanoseconds: u64) -> Option<Instant> {
        (nanoseconds != UNTIMED).then(|| self.epoch + Duration::from_nanos(nanoseconds))
    }
}

fn pack([kind, caller]: [u32; 2]) -> u64 {
    u64::from(kind) << 32 | u64::from(caller)
}

#[expect(clippy::cast_possible_truncation, reason = "it takes the halves apart")]
fn unpack(what: u64) -> [u32; 2] {
    [(what >> 32) as u32, what as u32]
}
