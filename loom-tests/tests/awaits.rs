//! A model of how a loop on a task knows what its handler waits for: see `ump-server/src/deadlock/awaits.rs`.
//!
//! It is made by hand, as tokio cannot be built for loom: the same steps in the same order, with a counter as the standard library's `Arc` has one.
//! There is one clone of a waker, in the hands of another thread. The handler awaits what that thread does, and a request that nobody will answer.
#![cfg(loom)]

use std::sync::Arc;

use loom::{
    sync::{
        Notify,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
            fence,
        },
    },
    thread,
};
use loom_tests::explore;

struct Loop {
    /// The clones of the waker.
    clones: AtomicUsize,
    is_woken: AtomicBool,
    /// Wakes the task.
    task: Notify,
    /// What the handler looks at.
    event: AtomicBool,
}

/// What the task found when it looked.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// The handler has gone on.
    Event,
    /// It waits for the request only: for ever.
    Cycle,
}

impl Loop {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            clones: AtomicUsize::new(1),
            is_woken: AtomicBool::new(false),
            task: Notify::new(),
            event: AtomicBool::new(false),
        })
    }

    fn let_go(&self) {
        self.clones.fetch_sub(1, Release);
    }

    fn note_ring(&self) {
        // A store will do: what an exchange has not seen comes after it. loom takes stores for unordered, though.
        self.is_woken.swap(true, Release);
    }

    /// By value: it lets go before the task is woken.
    fn wake(&self) {
        self.note_ring();
        self.let_go();
        self.task.notify();
    }

    /// What the loop does once its handler has been polled first, in vain.
    fn run(&self) -> Found {
        loop {
            if self.is_certain() {
                return Found::Cycle;
            }
            self.task.wait();
            // Whatever it was woken for: the handler is polled only if a waker of its own rang.
            if self.is_woken.swap(false, Acquire) && self.event.load(Relaxed) {
                return Found::Event;
            }
        }
    }

    fn is_certain(&self) -> bool {
        let is_alone = self.clones.load(Relaxed) == 0;
        fence(Acquire);
        is_alone && !self.is_woken.load(Relaxed)
    }
}

/// [the clones are counted before it is looked whether one has rung]
#[test]
fn who_will_be_woken_is_not_told() {
    explore(|| {
        let task = Loop::new();
        let other = Arc::clone(&task);
        let other = thread::spawn(move || {
            other.event.store(true, Relaxed);
            other.wake();
        });
        assert_eq!(task.run(), Found::Event);
        other.join().unwrap();
    });
}

/// [what is woken for something else looks again; a wake-up lets go before it wakes]
#[test]
fn who_is_woken_for_the_last_time_in_vain_is_told() {
    explore(|| {
        let task = Loop::new();
        let other = Arc::clone(&task);
        let other = thread::spawn(move || other.wake());
        assert_eq!(task.run(), Found::Cycle);
        other.join().unwrap();
    });
}

/// One rings by reference, for nothing, and keeps no clone. [an exchange, so that what rings meanwhile is not lost]
#[test]
fn one_wake_up_does_not_take_another_one_along() {
    explore(|| {
        let task = Loop::new();
        let [rings, in_vain] = [Arc::clone(&task), Arc::clone(&task)];
        let rings = thread::spawn(move || {
            rings.event.store(true, Relaxed);
            rings.wake();
        });
        let in_vain = thread::spawn(move || {
            in_vain.note_ring();
            in_vain.task.notify();
        });
        assert_eq!(task.run(), Found::Event);
        rings.join().unwrap();
        in_vain.join().unwrap();
    });
}

/// As that of a timer that is armed elsewhere. [it looks again, and the handler is not polled]
#[test]
fn a_poll_for_something_else_loses_no_wake_up() {
    explore(|| {
        let task = Loop::new();
        let others = [Arc::clone(&task), Arc::clone(&task)];
        let [rings, polls] = others;
        let rings = thread::spawn(move || {
            rings.event.store(true, Relaxed);
            rings.wake();
        });
        let polls = thread::spawn(move || polls.task.notify());
        assert_eq!(task.run(), Found::Event);
        rings.join().unwrap();
        polls.join().unwrap();
    });
}
