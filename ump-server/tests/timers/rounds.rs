//! Which timers belong to a round, and which wait for the next one.

use crate::support::{Bench, ms};

#[test]
fn timer_armed_for_now_waits_for_the_next_round() {
    let mut bench = Bench::new();
    bench.at(ms(1), 0);
    bench.due.begin(bench.start + ms(10));
    while let Some(n) = bench.due.pop() {
        bench.at(ms(1), n + 1);
    }
    assert_eq!(bench.round(ms(10)), [1]);
}

#[test]
fn timer_armed_by_a_handler_comes_at_its_time() {
    let mut bench = Bench::new();
    bench.at(ms(1), 'a');
    bench.due.begin(bench.start + ms(10));
    assert_eq!(bench.due.pop(), Some('a'));
    bench.at(ms(11), 'b');
    assert_eq!(bench.due.pop(), None);
    assert_eq!(bench.sleeps_until(), Some(ms(11)));
    assert_eq!(bench.round(ms(11)), ['b']);
}

#[test]
fn a_round_that_was_not_finished_goes_on_in_the_next() {
    let mut bench = Bench::new();
    for token in ['a', 'b', 'c'] {
        bench.at(ms(1), token);
    }
    bench.due.begin(bench.start + ms(1));
    assert_eq!(bench.due.pop(), Some('a'));
    assert_eq!(bench.round(ms(2)), ['b', 'c']);
}
