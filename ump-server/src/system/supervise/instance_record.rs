//! The record of an instance while it runs, which its factory and its supervisor write.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use crate::{
    Decision,
    sync::Mutex,
    system::report::{past_failure::PastFailure, past_stall::PastStall},
    watchdog::{Stage, Stall},
};

/// How many failures of an instance are kept.
const KEPT_FAILURES: usize = 16;

/// How many stalls of an instance are kept.
const KEPT_STALLS: usize = 16;

/// The record of an instance while it runs.
#[derive(Default)]
pub(in crate::system) struct InstanceRecord(Mutex<Recorded>);

#[derive(Default)]
struct Recorded {
    up_since: Option<Instant>,
    workers: BTreeMap<usize, Worker>,
    /// The error of the factory when it refused to make a handler anew.
    refusal: Option<String>,
    last_failure: Option<String>,
    /// The last failures, the oldest first.
    failures: VecDeque<Noted>,
    /// The last stalls with the time of the first report of each, the oldest first.
    stalls: VecDeque<(Instant, Stall)>,
    /// The group that stopped it when it gave up.
    stopped_by: Option<String>,
    /// It was stopped without the rest of the system.
    stopped_alone: bool,
}

struct Noted {
    at: Instant,
    reason: String,
    decision: Decision,
}

struct Worker {
    restarts: u64,
    /// How many timers it has.
    timers: Arc<dyn Fn() -> usize + Send + Sync>,
}

impl InstanceRecord {
    /// A handler is being made.
    pub(in crate::system) fn make(
        &self,
        worker: usize,
        restarts: u64,
        timers: impl Fn() -> usize + Send + Sync + 'static,
    ) {
        let timers = Arc::new(timers);
        let new = Worker { restarts, timers };
        let replaced = self.0.lock().workers.insert(worker, new);
        drop(replaced);
    }

    pub(in crate::system) fn start(&self, now: Instant) {
        self.0.lock().up_since = Some(now);
    }

    pub(in crate::system) fn refuse(&self, why: String) {
        self.0.lock().refusal = Some(why);
    }

    /// A handler failed. Returns why, in words.
    pub(in crate::system) fn fail(&self, failure: String) -> String {
        let mut recorded = self.0.lock();
        let failure = match recorded.refusal.take() {
            Some(refusal) => format!("{failure}: {refusal}"),
            None => failure,
        };
        recorded.last_failure = Some(failure.clone());
        failure
    }

    /// Keeps a failure and what was decided about it. The oldest one is forgotten if there are
    /// many.
    pub(in crate::system) fn note(&self, at: Instant, reason: String, decision: Decision) {
        let noted = Noted {
            at,
            reason,
            decision,
        };
        let mut recorded = self.0.lock();
        if recorded.failures.len() == KEPT_FAILURES {
            recorded.failures.pop_front();
        }
        recorded.failures.push_back(noted);
    }

    /// Keeps the first report of a stall, or replaces it by a later one. The oldest stall is
    /// forgotten if there are many.
    pub(in crate::system) fn note_stall(&self, now: Instant, stall: &Stall) {
        let mut recorded = self.0.lock();
        let stalls = &mut recorded.stalls;
        if stall.stage == Stage::Noticed {
            if stalls.len() == KEPT_STALLS {
                stalls.pop_front();
            }
            stalls.push_back((now, stall.clone()));
            return;
        }
        // A worker has one stall at a time. Nothing is found if it was forgotten meanwhile.
        let mut kept = stalls.iter_mut().rev();
        let is_it = |kept: &Stall| kept.worker == stall.worker && kept.stage != Stage::Over;
        if let Some((_, kept)) = kept.find(|(_, kept)| is_it(kept)) {
            kept.clone_from(stall);
        }
    }

    /// Returns the stalls that are kept, the oldest first.
    pub(in crate::system) fn stalls(&self, now: Instant) -> Vec<PastStall> {
        let recorded = self.0.lock();
        let stalls = recorded.stalls.iter();
        stalls
            .map(|(at, stall)| PastStall {
                age: now.saturating_duration_since(*at),
                worker: stall.worker,
                kind: stall.kind,
                caller: stall.caller,
                elapsed: stall.elapsed,
                stage: stall.stage,
            })
            .collect()
    }

    /// Returns the failures that are kept, the oldest first.
    pub(in crate::system) fn failures(&self, now: Instant) -> Vec<PastFailure> {
        let recorded = self.0.lock();
        let failures = recorded.failures.iter();
        failures
            .map(|noted| PastFailure {
                age: now.saturating_duration_since(noted.at),
                reason: noted.reason.clone(),
                decision: noted.decision,
            })
            .collect()
    }

    pub(in crate::system) fn up_since(&self) -> Option<Instant> {
        self.0.lock().up_since
    }

    pub(in crate::system) fn restarts(&self) -> u64 {
        let recorded = self.0.lock();
        recorded
            .workers
            .values()
            .map(|worker| worker.restarts)
            .sum()
    }

    pub(in crate::system) fn timers(&self) -> usize {
        let recorded = self.0.lock();
        let timers = recorded.workers.values();
        let timers: Vec<_> = timers.map(|worker| Arc::clone(&worker.timers)).collect();
        drop(recorded);
        timers.iter().map(|count| count()).sum()
    }

    /// It is stopped without the rest of the system.
    pub(in crate::system) fn stop_alone(&self) {
        self.0.lock().stopped_alone = true;
    }

    pub(in crate::system) fn stopped_alone(&self) -> bool {
        self.0.lock().stopped_alone
    }

    /// A group stops it.
    pub(in crate::system) fn stop(&self, group: &str) {
        let mut recorded = self.0.lock();
        recorded.stopped_by.get_or_insert_with(|| group.to_owned());
    }

    pub(in crate::system) fn stopped_by(&self) -> Option<String> {
        self.0.lock().stopped_by.clone()
    }

    pub(in crate::system) fn last_failure(&self) -> Option<String> {
        self.0.lock().last_failure.clone()
    }
}
