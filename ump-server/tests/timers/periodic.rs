//! Periodic timers.

use std::time::{Duration, Instant};

use ump_server::timer::{Missed, Periodic};

use crate::support::{Bench, ms};

/// A period of 10 ms, with a handler that is busy from 12 to 45 ms: the table in the documentation
/// of `Missed`.
fn after_a_long_handler(missed: Missed) -> Vec<(u64, usize)> {
    let mut bench = Bench::new();
    bench.every(Periodic::new(ms(10)).missed(missed), ms(10), ());
    let mut came = Vec::new();
    for time in [10, 12].into_iter().chain(45..=76) {
        loop {
            let count = bench.round(ms(time)).len();
            if count == 0 {
                break;
            }
            assert_eq!(count, 1, "at most once in a round");
            match came.last_mut() {
                Some((last, count)) if *last == time => *count += 1,
                _ => came.push((time, 1)),
            }
        }
    }
    came
}

#[test]
fn skip_comes_once_for_missed_periods_and_is_aligned() {
    let came = after_a_long_handler(Missed::Skip);
    assert_eq!(came, [(10, 1), (45, 1), (50, 1), (60, 1), (70, 1)]);
    assert_eq!(came, after_a_long_handler(Missed::default()));
}

#[test]
fn burst_comes_for_each_period_that_was_missed() {
    let came = after_a_long_handler(Missed::Burst);
    assert_eq!(came, [(10, 1), (45, 3), (50, 1), (60, 1), (70, 1)]);
}

#[test]
fn delay_comes_a_period_after_the_late_one() {
    let came = after_a_long_handler(Missed::Delay);
    assert_eq!(came, [(10, 1), (45, 1), (55, 1), (65, 1), (75, 1)]);
}

#[test]
fn a_period_is_exact_over_a_million_times() {
    let mut bench = Bench::new();
    let period = Duration::from_nanos(1_234_567);
    let id = bench.every(Periodic::new(period), period, ());
    for n in 1..=1_000_000_u32 {
        let late = Duration::from_nanos(u64::from(n) * 7_919 % 1_000_000);
        assert_eq!(bench.round(period * n + late).len(), 1);
    }
    let next = bench.start + period * 1_000_001;
    assert_eq!(bench.timers.deadline(id), Some(next));
}

#[test]
fn a_timer_that_comes_n_times_is_gone_then() {
    let mut bench = Bench::new();
    let id = bench.every(Periodic::new(ms(10)).times(3), ms(0), 'a');
    let came: Vec<_> = (0..10).map(|n| bench.round(ms(n * 10)).len()).collect();
    assert_eq!(came, [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert!(bench.timers.is_empty());
    assert_eq!(bench.timers.cancel(id), None);
}

#[test]
fn nothing_is_armed_to_come_zero_times() {
    let bench = Bench::new();
    let id = bench.timers.every(Periodic::new(ms(10)).times(0), 'a');
    assert!(bench.timers.is_empty());
    assert_eq!(bench.timers.cancel(id), None);
}

#[test]
fn a_period_of_zero_lets_every_round_end() {
    for missed in [Missed::Skip, Missed::Burst, Missed::Delay] {
        let mut bench = Bench::new();
        bench.every(Periodic::new(Duration::ZERO).missed(missed), ms(0), ());
        for time in 1..100 {
            assert_eq!(bench.round(ms(time)).len(), 1);
        }
    }
}

#[test]
fn periodic_timer_is_cancelled_by_its_first_id() {
    let mut bench = Bench::new();
    let id = bench.every(Periodic::new(ms(10)), ms(10), 'a');
    assert_eq!(bench.round(ms(10)), ['a']);
    assert_eq!(bench.round(ms(20)), ['a']);
    assert_eq!(bench.timers.cancel(id), Some('a'));
    assert_eq!(bench.round(ms(30)), []);
}

#[test]
fn rescheduled_periodic_timer_keeps_its_period() {
    let mut bench = Bench::new();
    let id = bench.every(Periodic::new(ms(10)), ms(10), 'a');
    assert_eq!(bench.round(ms(10)), ['a']);
    assert!(bench.timers.reschedule_at(id, bench.start + ms(13)));
    assert_eq!(bench.round(ms(13)), ['a']);
    assert_eq!(bench.sleeps_until(), Some(ms(23)));
}

#[test]
fn a_period_begins_when_it_is_armed_by_default() {
    let bench = Bench::new();
    let before = Instant::now();
    let usual = bench.timers.every(ms(100), ());
    let at_once = bench
        .timers
        .every(Periodic::new(ms(100)).first_after(Duration::ZERO), ());
    let after = Instant::now();
    let usual = bench.timers.deadline(usual).unwrap();
    let at_once = bench.timers.deadline(at_once).unwrap();
    assert!(before + ms(100) <= usual && usual <= after + ms(100));
    assert!(before <= at_once && at_once <= after);
}
