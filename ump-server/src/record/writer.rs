//! The only writer of a record: its worker.

use std::{panic::Location, time::Instant};

use super::{
    IDLE, ONE_TURN, PHASE, REPORTED, RUNNING, Turn, UNTIMED, UNTIMED_CALL, WAITING, WorkerRecord,
    WorkerState, interner::InternerCache, pack,
};
use crate::sync::{Arc, Ordering};

/// Writes a record.
#[derive(Debug)]
pub(crate) struct RecordWriter {
    record: Arc<WorkerRecord>,
    kinds: InternerCache,
    callers: InternerCache,
    /// The word that is written in the record.
    word: u64,
}

impl RecordWriter {
    pub(crate) fn new(record: Arc<WorkerRecord>) -> Self {
        Self {
            record,
            kinds: InternerCache::default(),
            callers: InternerCache::default(),
            word: IDLE,
        }
    }

    pub(crate) fn record(&self) -> &WorkerRecord {
        &self.record
    }

    pub(crate) fn set_state(&self, state: WorkerState) {
        self.record.set_state(state);
    }

    pub(crate) fn set_restarts(&self, restarts: u64) {
        // ORDERING: Relaxed: for the status only, which is out of date anyway.
        self.record.restarts.store(restarts, Ordering::Relaxed);
    }

    /// Begins a call of this kind. Returns the number of the kind.
    #[inline]
    pub(crate) fn begin(
        &mut self,
        kind: &'static str,
        caller: Option<&'static Location<'static>>,
        taken: Option<Instant>,
    ) -> u32 {
        let record = &*self.record;
        let number = self.kinds.number(&record.kinds, kind);
        let asked_at = caller.map_or(0, |caller| self.callers.number(&record.callers, caller));
        let word = (self.word & !PHASE).wrapping_add(ONE_TURN) | WAITING;
        let at = taken.map_or(UNTIMED_CALL | word >> 2, |at| record.nanoseconds(at));
        // ORDERING: Release, all three: invariant 1 of the record. They pair with the Acquire loads
        // of `in_hand`.
        record
            .what
            .store(pack([number, asked_at]), Ordering::Release);
        record.taken.store(at, Ordering::Release);
        self.write(word);
        number
    }

    /// Begins a turn: gives the handler control.
    #[inline]
    pub(crate) fn resume(&mut self, since: Option<Instant>) {
        let record = &*self.record;
        let at = since.map_or(UNTIMED, |at| record.nanoseconds(at));
        // ORDERING: Release: invariant 1 of the record. It pairs with the Acquire of `snapshot`.
        record.since.store(at, Ordering::Release);
        self.write((self.word & !PHASE).wrapping_add(ONE_TURN) | RUNNING);
    }

    /// Ends a turn, if there is one: the handler waits. Returns the turn if it was reported.
    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    pub(crate) fn pause(&mut self, is_watched: bool) -> Option<Turn> {
        self.leave(WAITING, is_watched)
    }

    /// Ends a turn, if there is one, and the call. Returns the turn if it was reported.
    #[inline]
    pub(crate) fn end(&mut self, is_watched: bool) -> Option<Turn> {
        self.leave(IDLE, is_watched)
    }

    /// Counts requests as done with. The last write about them: a reader that sees it may count on
    /// the rest.
    #[inline]
    pub(crate) fn count(&self, requests: u64) {
        let processed = &self.record.processed;
        // ORDERING: Relaxed: nobody else writes it. Release: pairs with the Acquire of `status`.
        let total = processed.load(Ordering::Relaxed) + requests;
        processed.store(total, Ordering::Release);
    }

    #[inline]
    fn write(&mut self, word: u64) {
        self.word = word;
        // ORDERING: Release: pairs with the Acquire of `snapshot` and `in_hand`.
        self.record.turn.store(word, Ordering::Release);
    }

    #[inline]
    fn leave(&mut self, phase: u64, is_watched: bool) -> Option<Turn> {
        let is_running = self.word & PHASE == RUNNING;
        let turn = self.word & !PHASE;
        if is_watched && is_running {
            self.word = turn | phase;
            // ORDERING: Acquire: pairs with the Release of the monitor's `claim`. Release: as in
            // `write`.
            let found = self.record.turn.swap(self.word, Ordering::AcqRel);
            (found & PHASE == REPORTED).then_some(Turn(turn))
        } else {
            self.write(turn | phase);
            None
        }
    }
}
