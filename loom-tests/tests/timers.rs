//! Models of a loop's timers. The loop sleeps by parking, and time stands still until the next
//! timer is due. A lost wake-up is therefore a deadlock, which loom finds.
//!
//! The brackets name states or arrows of the diagram at the top of `ump-server/src/timer/mod.rs`.
#![cfg(loom)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use loom::thread;
use loom_tests::{explore, explore_large};
use ump_server::{
    Clock, Timers,
    timer::{Due, timers},
};

const HOUR: Duration = Duration::from_secs(3600);

/// Creates the timers of a loop on this thread, and returns the start time.
fn loop_here<T>() -> (Timers<T>, Due<T>, Instant) {
    let start = Instant::now();
    let me = thread::current();
    let (timers, due) = timers(Clock::system(), move || me.unpark());
    (timers, due, start)
}

/// Runs a loop until `count` timers have come due. It sleeps for ever if the next timer is due
/// later than `until`.
fn run_until<T>(due: &mut Due<T>, start: Instant, until: Instant, count: usize) -> Vec<T> {
    let (mut now, mut came) = (start, Vec::new());
    loop {
        if !due.is_idle() {
            due.begin(now);
            while let Some(token) = due.pop() {
                came.push(token);
            }
        }
        if came.len() == count {
            return came;
        }
        match due.sleep_until() {
            Some(at) if at <= until => now = now.max(at),
            _ => thread::park(),
        }
    }
}

/// [exact, with nothing armed: an earlier timer is armed, then wake]
#[test]
fn the_first_timer_wakes_a_loop_that_goes_to_sleep() {
    explore(|| {
        let (timers, mut due, start) = loop_here();
        let other = thread::spawn(move || timers.at(start + HOUR, 1));
        assert_eq!(run_until(&mut due, start, start + HOUR, 1), [1]);
        other.join().unwrap();
    });
}

/// [exact, with a later timer announced: an earlier timer is armed, then wake]
#[test]
fn an_earlier_timer_wakes_a_loop_that_sleeps_until_a_later_one() {
    explore(|| {
        let (timers, mut due, start) = loop_here();
        timers.at(start + 2 * HOUR, 2);
        let other = thread::spawn(move || timers.at(start + HOUR, 1));
        assert_eq!(run_until(&mut due, start, start + HOUR, 1), [1]);
        other.join().unwrap();
    });
}

/// [withdrawn by a round, then announced before the sleep]
#[test]
fn a_timer_wakes_a_loop_that_goes_to_sleep_after_another_came() {
    explore(|| {
        let (timers, mut due, start) = loop_here();
        timers.at(start, 1);
        let other = thread::spawn(move || timers.at(start + HOUR, 2));
        assert_eq!(run_until(&mut due, start, start + HOUR, 2), [1, 2]);
        other.join().unwrap();
    });
}

#[test]
fn a_timer_that_is_moved_to_an_earlier_time_wakes_the_loop() {
    explore(|| {
        let (timers, mut due, start) = loop_here();
        let id = timers.at(start + 2 * HOUR, 1);
        let other = thread::spawn(move || assert!(timers.reschedule_at(id, start + HOUR)));
        assert_eq!(run_until(&mut due, start, start + HOUR, 1), [1]);
        other.join().unwrap();
    });
}

/// [doubtful: no timer comes late]
#[test]
fn a_timer_armed_after_the_announced_one_was_cancelled_comes() {
    explore(|| {
        let (timers, mut due, start) = loop_here();
        let id = timers.at(start + HOUR, 1);
        let other = thread::spawn(move || {
            let cancelled = timers.cancel(id);
            timers.at(start + 2 * HOUR, 2);
            cancelled
        });
        let came = run_until(&mut due, start, start + 2 * HOUR, 1);
        match other.join().unwrap() {
            Some(1) => assert_eq!(came, [2]),
            _ => assert_eq!(came, [1]),
        }
    });
}

/// [withdrawn: only the first of them wakes]
#[test]
fn timers_of_two_threads_wake_a_loop_that_goes_to_sleep() {
    explore_large(|| {
        let (timers, mut due, start) = loop_here();
        let arm = |n: u32| {
            let timers = timers.clone();
            thread::spawn(move || timers.at(start + n * HOUR, n))
        };
        let others = [arm(1), arm(2)];
        let mut came = run_until(&mut due, start, start + 2 * HOUR, 2);
        came.sort_unstable();
        assert_eq!(came, [1, 2]);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn a_timer_comes_or_is_cancelled_and_never_both() {
    explore(|| {
        let (timers, mut due, start) = loop_here();
        let id = timers.at(start, 1);
        let other = thread::spawn(move || timers.cancel(id));
        due.begin(start);
        let came = due.pop();
        let cancelled = other.join().unwrap();
        assert_eq!(came.or(cancelled), Some(1));
        assert!(came.is_none() || cancelled.is_none());
        assert_eq!(due.pop(), None);
    });
}

#[test]
fn a_periodic_timer_that_is_cancelled_comes_no_more_and_keeps_no_token() {
    explore(|| {
        let (timers, mut due, start) = loop_here();
        let token = Arc::new(());
        let id = timers.every(HOUR, token.clone());
        assert!(timers.reschedule_at(id, start));
        let other = thread::spawn(move || drop(timers.cancel(id)));
        due.begin(start);
        drop(due.pop());
        other.join().unwrap();
        due.begin(start + 2 * HOUR);
        assert_eq!(due.pop(), None);
        assert_eq!(Arc::strong_count(&token), 1);
    });
}

#[test]
fn a_timer_armed_while_the_loop_ends_keeps_no_token() {
    explore(|| {
        let (timers, due, start) = loop_here();
        let token = Arc::new(());
        let mine = token.clone();
        let other = thread::spawn(move || {
            timers.at(start, mine);
            timers
        });
        drop(due);
        let timers = other.join().unwrap();
        assert!(timers.is_empty());
        assert_eq!(Arc::strong_count(&token), 1);
    });
}
