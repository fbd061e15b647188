//! What a worker has in hand: written by the worker alone, by plain stores, and read by anybody without stopping it.
//!
//! # Turns
//!
//! A *call* of the handler is a request, a timer, `init` or `term`. Within it the handler has control in *turns*: on a thread there is one, on
//! a task one for each poll. One word says which turn it is, and how far it has got:
//!
//! ```text
//!          begin                 resume                  claim, by the monitor
//!   IDLE ─────────▶ WAITING ──────────────▶ RUNNING ─────────────────────────▶ REPORTED
//!    ▲                │  ▲                    │ │                               │ │
//!    │                │  └────── pause ───────┘ │ end                   pause, end│ │
//!    └────── end ─────┴─────────────────────────┴───────────────────────────────┴─┘
//! ```
//!
//! `begin` and `resume` each take a new number, so a word never comes back.
//!
//! # Invariants
//!
//! 1. What a call is about is written before the store that says `WAITING`, the beginning of a turn before the one that says `RUNNING`; and
//!    both only after the store that ended what was there before. All of these are Release, and read by Acquire: whoever finds the
//!    same word before and after has read what belongs to it. (That is a sequence lock with the word for its number; see Boehm,
//!    "Can seqlocks get along with programming language memory models?", 2012.)
//! 2. The monitor reports a turn only if its compare-exchange from `RUNNING` to `REPORTED` succeeds: then that very turn was still going on.
//! 3. The worker leaves a turn that is watched by a swap: either it finds `REPORTED`, or the monitor will not find `RUNNING`.

mod interner;
mod recorder;
mod status;

use std::{
    panic::Location,
    sync::atomic::{AtomicU8, AtomicU64 as Count},
    time::{Duration, Instant},
};

use ump::Clock;

use crate::sync::{Arc, AtomicU64, Ordering};

use self::interner::Interner;
pub(crate) use self::recorder::WorkerRecorder;
pub use self::status::{InHand, WorkerState, WorkerStatus};

const IDLE: u64 = 0;
const WAITING: u64 = 1;
const RUNNING: u64 = 2;
const REPORTED: u64 = 3;
/// The number of a turn is above its phase.
const PHASE: u64 = 3;
const ONE_TURN: u64 = PHASE + 1;

/// Since when, if nobody asked for the time.
const UNTIMED: u64 = u64::MAX;

/// A worker's record.
#[derive(Debug)]
pub(crate) struct WorkerRecord {
    pub(crate) name: std::sync::Arc<str>,
    pub(crate) worker: usize,
    pub(crate) clock: Clock,
    /// What the times are counted from, in nanoseconds.
    epoch: Instant,
    turn: AtomicU64,
    /// The numbers of its kind and its caller in the interner.
    what: AtomicU64,
    taken: AtomicU64,
    since: AtomicU64,
    kinds: Interner<str>,
    callers: Interner<Location<'static>>,
    /// These three are for the status only.
    processed: Count,
    restarts: Count,
    state: AtomicU8,
}

/// What the monitor sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Snapshot {
    /// The handler has no control; this was its last turn.
    Away(Turn),
    /// It has had control since then.
    Running(Turn, Instant),
    /// The same, and it was reported.
    Reported(Turn),
}

/// Which turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn(u64);

impl Turn {
    /// Before the first one.
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
            processed: Count::new(0),
            restarts: Count::new(0),
            state: AtomicU8::new(WorkerState::Starting as u8),
        })
    }

    /// What is going on at this moment.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let word = self.turn.load(Ordering::Acquire);
        let turn = Turn(word & !PHASE);
        match word & PHASE {
            RUNNING => match self.instant(self.since.load(Ordering::Acquire)) {
                // Relaxed: invariant 1. It is over already, so the next one has only just begun.
                Some(_) if self.turn.load(Ordering::Relaxed) != word => Snapshot::Away(turn),
                Some(since) => Snapshot::Running(turn, since),
                None => Snapshot::Away(turn),
            },
            REPORTED => Snapshot::Reported(turn),
            _ => Snapshot::Away(turn),
        }
    }

    /// Takes it upon itself to report the turn, with what it is about; unless that is over.
    pub(crate) fn claim(
        &self,
        turn: Turn,
    ) -> Option<(&'static str, Option<&'static Location<'static>>)> {
        let what = self.what.load(Ordering::Acquire);
        // Release: with the worker's swap. Acquire: after the worker's last mail about an earlier turn.
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
        // Acquire: pairs with the Release of `set_state`: what the worker did before is to be seen.
        WorkerState::from_number(self.state.load(Ordering::Acquire))
    }

    fn set_state(&self, state: WorkerState) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// What it looks like from outside.
    pub(crate) fn status(&self) -> WorkerStatus {
        WorkerStatus {
            worker: self.worker,
            state: self.state(),
            // Acquire: pairs with the Release of the recorder's `end`.
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
            // Relaxed: invariant 1.
            if self.turn.load(Ordering::Relaxed) == word {
                let (kind, caller) = self.read(what);
                let taken = self.instant(taken);
                return Some(InHand {
                    kind,
                    caller,
                    age: taken.map(|at| self.clock.now().saturating_duration_since(at)),
                    is_running: word & PHASE != WAITING,
                });
            }
            // Whoever writes does so in a few instructions.
            crate::sync::yield_now();
        }
    }

    fn nanoseconds(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.epoch);
        // It takes 584 years to get there.
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
