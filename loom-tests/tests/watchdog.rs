//! Models of the watchdog: a worker, its desk, and the thread that watches. That sleeps for ever while it has nothing to do: so a wake-up that is
//! lost is a deadlock, which loom finds; and so is a thread that does not go when it is not needed.
//!
//! What is named in brackets is a rule or an arrow at the top of `ump-server/src/watchdog/mod.rs` or `ump-server/src/desk/mod.rs`.
#![cfg(loom)]

use std::{sync::Arc, time::Duration};

use loom::{
    sync::{Mutex, Notify},
    thread,
};
use loom_tests::{explore, explore_large};
use ump::ManualClock;
use ump_server::watchdog::{
    Stage,
    model::{Watchdog, Worker},
};

const SECOND: Duration = Duration::from_secs(1);

/// What was told, in its order.
type Told = Arc<Mutex<Vec<Stage>>>;

/// A worker that is watched, what is told of it, and what says that something has been told.
fn watched(time: &ManualClock) -> (Worker, Told, Arc<Notify>) {
    let told = Told::new(Mutex::new(Vec::new()));
    let news = Arc::new(Notify::new());
    let (tell, notify) = (Arc::clone(&told), Arc::clone(&news));
    let worker = Watchdog::new().watch(time.clock(), SECOND, move |stall| {
        tell.lock().unwrap().push(stall.stage);
        if stall.stage == Stage::Noticed {
            notify.notify();
        }
    });
    (worker, told, news)
}

/// [mind, sleep: a monitor that falls asleep sees the turn, or is woken; a manual clock wakes it]
#[test]
fn a_stall_is_noticed_however_asleep_the_monitor_is() {
    explore(|| {
        let time = ManualClock::new();
        let (mut worker, told, news) = watched(&time);
        worker.call(|| {
            time.advance(SECOND);
            // For ever, should nobody notice.
            while told.lock().unwrap().is_empty() {
                news.wait();
            }
        });
        drop(worker);
        assert_eq!(told.lock().unwrap()[0], Stage::Noticed);
    });
}

/// [claim against end]
#[test]
fn a_turn_that_ends_while_the_monitor_looks_is_reported_with_its_end_or_not_at_all() {
    explore_large(|| {
        let time = ManualClock::new();
        let (mut worker, told, _) = watched(&time);
        let other = thread::spawn(move || time.advance(SECOND));
        worker.call(|| {});
        other.join().unwrap();
        drop(worker);
        let told = told.lock().unwrap().clone();
        assert!([&[][..], &[Stage::Noticed], &[Stage::Noticed, Stage::Over]].contains(&&told[..]));
    });
}

/// [mail of a turn that is over, before the last look]
#[test]
fn the_monitor_goes_when_nobody_is_watched() {
    explore(|| {
        let time = ManualClock::new();
        let (mut worker, told, _) = watched(&time);
        worker.call(|| {});
        drop(worker);
        assert!(told.lock().unwrap().is_empty());
    });
}
