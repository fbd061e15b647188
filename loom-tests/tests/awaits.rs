//! A model of how a loop on a task finds out what its handler awaits: see
//! `ump-server/src/deadlock/awaits.rs`.
//!
//! The model repeats the steps of the real code by hand, in the same order, since tokio does not
//! build for loom. A counter stands for the reference count of the standard library's `Arc`.
//! Another thread owns one clone of a waker. The handler awaits what that thread does, and a
//! request that is never answered.
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
    /// The number of clones of the waker.
    clones: AtomicUsize,
    is_woken: AtomicBool,
    /// Wakes the task.
    task: Notify,
    /// The flag that the handler checks when it is polled.
    event: AtomicBool,
}

/// The findings of the task when it checked.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// The handler has continued.
    Event,
    /// The handler awaits only the request, which is never answered.
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
        // A store would suffice: it comes after an exchange that has not seen it. But loom does not
        // order stores in this way.
        self.is_woken.swap(true, Release);
    }

    /// Wakes by value: the clone is released before the task is woken.
    fn wake(&self) {
        self.note_ring();
        self.let_go();
        self.task.notify();
    }

    /// Runs the loop after a first poll of the handler that returned `Pending`.
    fn run(&self) -> Found {
        loop {
            if self.is_certain() {
                return Found::Cycle;
            }
            self.task.wait();
            // The task may be woken for any reason. It polls the handler only if one of the
            // handler's own wakers was called.
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

/// [the clones are counted before the check whether a waker was called]
#[test]
fn a_task_that_will_be_woken_sees_no_cycle() {
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

/// [a task that is woken for another reason checks again; a wake-up releases its clone before it
/// wakes the task]
#[test]
fn a_task_woken_in_vain_for_the_last_time_sees_the_cycle() {
    explore(|| {
        let task = Loop::new();
        let other = Arc::clone(&task);
        let other = thread::spawn(move || other.wake());
        assert_eq!(task.run(), Found::Cycle);
        other.join().unwrap();
    });
}

/// A second thread wakes by reference, in vain, and keeps no clone.
/// [an exchange, so that a wake-up in between is not lost]
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

/// The task is also polled for another reason, such as a timer that is armed elsewhere.
/// [it checks again, and the handler is not polled]
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
