//! No future keeps its waker after its drop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Context,
};

use tests::{CountingWaker, Hook, Meter};

use super::{
    alone,
    table::{Made, table},
};

#[global_allocator]
static METER: Meter = Meter::new();

/// The number of times that each future is made, polled and dropped.
const TIMES: usize = 10_000;
/// The allowance for the test harness: less than one waker for each time.
const KEPT: usize = 16 * 1024;

fn poll(future: &mut Made, counter: &Arc<CountingWaker>) -> bool {
    let waker = counter.waker();
    let poll = future.as_mut().poll(&mut Context::from_waker(&waker));
    poll.is_ready()
}

#[test]
fn a_dropped_future_leaves_no_waker() {
    let _alone = alone();
    for mut entry in table() {
        let name = entry.name;
        let mut latest = CountingWaker::new();
        let mut live = Vec::new();
        for time in 0..TIMES {
            if time % (TIMES / 5) == 0 {
                live.push(METER.live());
            }
            let counter = CountingWaker::new();
            let mut future = (entry.waiting)();
            assert!(!poll(&mut future, &counter), "{name} waits");
            drop(future);
            if entry.keeps_latest {
                assert_eq!(latest.wakers(), 0, "{name} keeps the latest only");
            } else {
                assert_eq!(counter.wakers(), 0, "{name}, the {time}th");
            }
            latest = counter;
        }
        // The first rounds allocate caches, and threads of the table may still be starting. A leak
        // shows in all rounds.
        let grown = live.windows(2).map(|live| live[1].saturating_sub(live[0]));
        let least = grown.min().unwrap();
        assert!(least <= KEPT, "{name} has kept {least} bytes");
    }
}

#[test]
fn a_future_keeps_the_latest_waker_only() {
    let _alone = alone();
    for mut entry in table() {
        let mut future = (entry.waiting)();
        let mut latest = CountingWaker::new();
        for time in 0..100 {
            let counter = CountingWaker::new();
            assert!(!poll(&mut future, &counter), "{} waits", entry.name);
            assert_eq!(latest.wakers(), 0, "{}, the {time}th", entry.name);
            latest = counter;
        }
    }
}

#[test]
fn a_ready_future_leaves_no_waker() {
    let _alone = alone();
    for mut entry in table() {
        for time in 0..100 {
            let counter = CountingWaker::new();
            let mut future = (entry.ready)();
            while !poll(&mut future, &counter) {
                assert!(counter.wakes() > 0, "{} waits", entry.name);
            }
            drop(future);
            assert_eq!(counter.wakers(), 0, "{}, the {time}th", entry.name);
        }
    }
}

#[test]
fn a_waker_is_cloned_as_often_each_time() {
    let _alone = alone();
    for mut entry in table() {
        let clones = Arc::new(AtomicUsize::new(0));
        for time in 0..1_000 {
            let counted = Arc::clone(&clones);
            let waker = Hook::on_clone(move || {
                counted.fetch_add(1, Ordering::Relaxed);
            });
            let mut future = (entry.waiting)();
            let poll = future.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(poll.is_pending(), "{} waits", entry.name);
            drop(future);
            let clones = clones.swap(0, Ordering::Relaxed);
            // A future clones its waker for the outcome, for the deadline, and for discarded
            // values.
            assert!(clones <= 3, "{}, the {time}th: {clones}", entry.name);
        }
    }
}
