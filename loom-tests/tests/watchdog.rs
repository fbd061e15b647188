//! Models of the watchdog: a worker, its record, and the monitor thread. The monitor sleeps for
//! ever while it has nothing to do. A lost wake-up is therefore a deadlock, which loom finds. So is
//! a monitor that does not end when it is no longer needed.
//!
//! The brackets name rules or arrows at the top of `ump-server/src/watchdog/mod.rs` or
//! `ump-server/src/record/mod.rs`.
#![cfg(loom)]

use std::{sync::Arc, time::Duration};

use loom::sync::{Mutex, Notify};
use loom_tests::{explore, explore_large};
use ump::ManualClock;
use ump_server::watchdog::{
    Stage,
    model::{Watchdog, Worker},
};

const SECOND: Duration = Duration::from_secs(1);

/// The reports about one worker, in order.
#[derive(Default)]
struct Told {
    stages: Vec<Stage>,
    /// The monitor has released the worker and will report nothing more.
    is_all: bool,
}

/// The reports, and a notification for each new one.
#[derive(Clone)]
struct Record(Arc<(Mutex<Told>, Notify)>);

impl Record {
    fn new() -> Self {
        Self(Arc::new((Mutex::new(Told::default()), Notify::new())))
    }

    fn note(&self, note: impl FnOnce(&mut Told)) {
        note(&mut self.0.0.lock().unwrap());
        self.0.1.notify();
    }

    /// Waits until the condition holds, for ever if it never does.
    fn wait(&self, until: impl Fn(&Told) -> bool) -> Vec<Stage> {
        loop {
            let told = self.0.0.lock().unwrap();
            if until(&told) {
                return told.stages.clone();
            }
            drop(told);
            self.0.1.wait();
        }
    }

    fn all(&self) -> Vec<Stage> {
        self.wait(|told| told.is_all)
    }
}

/// The monitor's end of the record. Its drop marks the reports as complete.
struct Teller(Record);

impl Drop for Teller {
    fn drop(&mut self) {
        self.0.note(|told| told.is_all = true);
    }
}

/// Returns a watched worker and the record of its reports.
fn watched(time: &ManualClock) -> (Worker, Record) {
    let record = Record::new();
    let teller = Teller(record.clone());
    let worker = Watchdog::new().watch(time.clock(), SECOND, move |stall| {
        teller.0.note(|told| told.stages.push(stall.stage));
    });
    (worker, record)
}

/// [resume, sleep: a monitor that is about to sleep sees the turn, or is woken; a manual clock
/// wakes it]
#[test]
fn a_stall_is_noticed_however_asleep_the_monitor_is() {
    explore(|| {
        let time = ManualClock::new();
        let (mut worker, record) = watched(&time);
        worker.call(|| {
            time.advance(SECOND);
            record.wait(|told| !told.stages.is_empty());
        });
        drop(worker);
        assert_eq!(record.all(), [Stage::Noticed, Stage::Over]);
    });
}

/// [resume, sleep: the monitor was woken before]
#[test]
fn a_stall_is_noticed_after_a_turn_that_ended_in_time() {
    explore_large(|| {
        let time = ManualClock::new();
        let (mut worker, record) = watched(&time);
        worker.call(|| {});
        worker.call(|| {
            time.advance(SECOND);
            record.wait(|told| !told.stages.is_empty());
        });
        drop(worker);
        assert_eq!(record.all(), [Stage::Noticed, Stage::Over]);
    });
}

/// [claim against end; the command of a turn that is over comes before the monitor ends]
#[test]
fn a_turn_that_ends_while_the_monitor_looks_is_reported_with_its_end_or_not_at_all() {
    explore(|| {
        let time = ManualClock::new();
        let (mut worker, record) = watched(&time);
        worker.call(|| time.advance(SECOND));
        drop(worker);
        let told = record.all();
        assert!(
            told.is_empty() || told == [Stage::Noticed, Stage::Over],
            "{told:?}"
        );
    });
}

/// [the monitor ends when no worker is watched]
#[test]
fn what_ends_in_time_is_never_reported() {
    explore(|| {
        let time = ManualClock::new();
        let (mut worker, record) = watched(&time);
        worker.call(|| {});
        time.advance(SECOND);
        worker.call(|| {});
        drop(worker);
        assert_eq!(record.all(), []);
    });
}
