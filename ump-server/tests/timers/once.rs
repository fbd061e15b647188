//! One-shot timers; cancelling and rescheduling.

use std::time::{Duration, Instant};

use crate::support::{Bench, ms};

#[test]
fn a_timer_comes_exactly_at_its_deadline() {
    let mut bench = Bench::new();
    bench.at(ms(10), 'a');
    assert_eq!(
        bench.round(ms(10).checked_sub(Duration::from_nanos(1)).unwrap()),
        []
    );
    assert_eq!(bench.round(ms(10)), ['a']);
    assert_eq!(bench.round(ms(20)), []);
}

#[test]
fn timers_come_by_deadline_then_as_armed() {
    let mut bench = Bench::new();
    for (time, token) in [(3, 'd'), (1, 'a'), (2, 'b'), (3, 'e'), (2, 'c'), (3, 'f')] {
        bench.at(ms(time), token);
    }
    assert_eq!(bench.round(ms(5)), ['a', 'b', 'c', 'd', 'e', 'f']);
}

#[test]
fn a_delay_is_counted_from_now() {
    let bench = Bench::new();
    let before = Instant::now();
    let id = bench.timers.once(ms(100), ());
    let after = Instant::now();
    let deadline = bench.timers.deadline(id).unwrap();
    assert!(before + ms(100) <= deadline && deadline <= after + ms(100));
}

#[test]
fn a_deadline_that_has_passed_comes_in_the_next_round() {
    let mut bench = Bench::new();
    assert_eq!(bench.round(ms(50)), []);
    bench.at(ms(20), 'b');
    bench.at(ms(10), 'a');
    assert!(bench.sleeps_until() <= Some(ms(50)));
    assert_eq!(bench.round(ms(50)), ['a', 'b']);
}

#[test]
fn timer_armed_before_the_first_round_waits() {
    let mut bench = Bench::new();
    bench.timers.once(ms(1_000_000), ());
    bench.due.begin(Instant::now());
    assert_eq!(bench.due.pop(), None);
}

#[test]
fn timer_for_the_end_of_time_never_comes() {
    let mut bench = Bench::new();
    let id = bench.timers.once(Duration::MAX, 'a');
    assert_eq!(bench.timers.len(), 1);
    assert_eq!(bench.timers.deadline(id), None);
    assert_eq!(bench.sleeps_until(), None);
    assert_eq!(bench.round(Duration::from_secs(1 << 32)), []);
    assert!(bench.timers.reschedule_at(id, bench.start));
    assert_eq!(bench.round(ms(0)), ['a']);
}

#[test]
fn a_timer_a_century_away_comes_then() {
    let mut bench = Bench::new();
    let century = Duration::from_secs(100 * 365 * 86_400);
    bench.at(century, 'a');
    assert_eq!(bench.sleeps_until(), Some(century));
    assert_eq!(bench.round(century.checked_sub(ms(1)).unwrap()), []);
    assert_eq!(bench.round(century), ['a']);
}

#[test]
fn cancelled_timer_returns_its_token_and_never_comes() {
    let mut bench = Bench::new();
    let id = bench.at(ms(10), 'a');
    bench.at(ms(10), 'b');
    assert_eq!(bench.timers.cancel(id), Some('a'));
    assert_eq!(bench.timers.cancel(id), None);
    assert!(!bench.timers.reschedule_at(id, bench.start));
    assert_eq!(bench.timers.deadline(id), None);
    assert_eq!(bench.round(ms(10)), ['b']);
}

#[test]
fn a_timer_that_came_cannot_be_cancelled() {
    let mut bench = Bench::new();
    let id = bench.at(ms(10), 'a');
    assert_eq!(bench.round(ms(10)), ['a']);
    assert_eq!(bench.timers.cancel(id), None);
}

#[test]
fn old_id_does_not_match_the_timer_in_its_slot() {
    let mut bench = Bench::new();
    let mut old = Vec::new();
    for _ in 0..1_000 {
        let id = bench.at(ms(10), 'a');
        assert!(bench.timers.cancel(id).is_some());
        old.push(id);
    }
    bench.at(ms(20), 'b');
    for id in old {
        assert_eq!(bench.timers.cancel(id), None);
        assert!(!bench.timers.reschedule_at(id, bench.start));
    }
    assert_eq!(bench.round(ms(20)), ['b']);
}

#[test]
fn due_timer_that_a_handler_cancels_does_not_come() {
    let mut bench = Bench::new();
    bench.at(ms(1), 'a');
    let b = bench.at(ms(2), 'b');
    let c = bench.at(ms(3), 'c');
    bench.at(ms(4), 'd');
    bench.due.begin(bench.start + ms(10));
    assert_eq!(bench.due.pop(), Some('a'));
    assert_eq!(bench.timers.cancel(b), Some('b'));
    assert!(bench.timers.reschedule_at(c, bench.start + ms(20)));
    assert_eq!(bench.due.pop(), Some('d'));
    assert_eq!(bench.due.pop(), None);
    assert_eq!(bench.round(ms(20)), ['c']);
}

#[test]
fn a_rescheduled_timer_comes_once_and_only_then() {
    let mut bench = Bench::new();
    let a = bench.at(ms(10), 'a');
    let b = bench.at(ms(50), 'b');
    assert!(bench.timers.reschedule_at(a, bench.start + ms(40)));
    assert!(bench.timers.reschedule_at(b, bench.start + ms(20)));
    assert_eq!(bench.sleeps_until(), Some(ms(20)));
    assert_eq!(bench.round(ms(30)), ['b']);
    assert_eq!(bench.round(ms(60)), ['a']);
    assert!(bench.timers.is_empty());
}
