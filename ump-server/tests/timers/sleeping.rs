//! How long the loop sleeps, and what wakes it.

use std::{
    thread,
    time::{Duration, Instant},
};

use ump_server::{Clock, timer::timers};

use crate::support::{Bench, ms};

#[test]
fn loop_without_timers_is_idle_until_one_is_armed() {
    let mut bench = Bench::new();
    assert_eq!(bench.sleeps_until(), None);
    assert!(bench.due.is_idle());
    let id = bench.at(ms(10), 'a');
    assert!(!bench.due.is_idle());
    assert_eq!(bench.woken(), 1);
    assert_eq!(bench.timers.cancel(id), Some('a'));
    assert_eq!(bench.round(ms(0)), []);
    assert!(bench.due.is_idle());
}

#[test]
fn an_idle_loop_sleeps_until_the_next_timer_exactly() {
    let mut bench = Bench::new();
    let ids: Vec<_> = (1..=100).map(|n| bench.at(ms(n), n)).collect();
    assert_eq!(bench.sleeps_until(), Some(ms(1)));
    for id in &ids[..50] {
        bench.timers.cancel(*id);
    }
    assert_eq!(bench.sleeps_until(), Some(ms(51)));
}

#[test]
fn only_an_earlier_timer_wakes_the_loop() {
    let mut bench = Bench::new();
    let id = bench.at(ms(50), 'a');
    assert_eq!(bench.woken(), 0, "it is awake");
    assert_eq!(bench.sleeps_until(), Some(ms(50)));
    bench.at(ms(50), 'b');
    bench.at(ms(60), 'c');
    assert!(bench.timers.reschedule_at(id, bench.start + ms(70)));
    assert_eq!(bench.woken(), 0);
    bench.at(ms(40), 'd');
    assert_eq!(bench.woken(), 1);
    bench.at(ms(30), 'e');
    assert_eq!(bench.woken(), 1, "it has been woken already");
    assert_eq!(bench.sleeps_until(), Some(ms(30)));
    assert!(bench.timers.reschedule_at(id, bench.start));
    assert_eq!(bench.woken(), 2);
    let gone = bench.at(ms(1_000), 'x');
    assert_eq!(bench.timers.cancel(gone), Some('x'));
    assert!(!bench.timers.reschedule_at(gone, bench.start));
    assert_eq!(bench.woken(), 2);
}

#[test]
fn cancelling_the_announced_timer_delays_no_other() {
    let mut bench = Bench::new();
    let id = bench.at(ms(10), 'a');
    assert_eq!(bench.sleeps_until(), Some(ms(10)));
    assert_eq!(bench.timers.cancel(id), Some('a'));
    bench.at(ms(20), 'b');
    assert_eq!(bench.woken(), 0, "it will look at 10");
    assert_eq!(bench.round(ms(10)), []);
    assert_eq!(bench.sleeps_until(), Some(ms(20)));
    bench.at(ms(15), 'c');
    assert_eq!(bench.woken(), 1);
    assert_eq!(bench.round(ms(15)), ['c']);
    assert_eq!(bench.round(ms(20)), ['b']);
}

#[test]
fn handles_in_many_threads_arm_and_cancel() {
    const THREADS: u64 = 4;
    const EACH: u64 = 5_000;
    let (timers, mut due) = timers::<u64>(Clock::system(), || {});
    let came = thread::scope(|scope| {
        let arming: Vec<_> = (0..THREADS)
            .map(|thread| {
                let timers = timers.clone();
                scope.spawn(move || {
                    let arm = |n| {
                        (
                            n,
                            timers.once(Duration::from_nanos(n % 7), thread * EACH + n),
                        )
                    };
                    let armed = (0..EACH).map(arm);
                    let cancelled =
                        armed.filter_map(|(n, id)| (n % 3 == 0).then(|| timers.cancel(id))?);
                    cancelled.collect::<Vec<_>>()
                })
            })
            .collect();
        let mut came = Vec::new();
        while arming.iter().any(|thread| !thread.is_finished()) || !timers.is_empty() {
            due.begin(Instant::now());
            came.extend(std::iter::from_fn(|| due.pop()));
        }
        for thread in arming {
            came.extend(thread.join().unwrap());
        }
        came
    });
    let mut came = came;
    came.sort_unstable();
    assert!(
        came.into_iter().eq(0..THREADS * EACH),
        "each once: came or was cancelled"
    );
}
