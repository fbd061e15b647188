//! Random programs against a model of the channel. Of one that fails the shortest version is printed.
//!
//! `PROPTEST_CASES=100000 cargo test --release -p tests --test programs` looks longer.

#![forbid(unsafe_code)]

mod model;
mod parcel;
mod program;
mod threads;
mod world;

use std::{env, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{TestCaseError, TestRunner},
};
use tests::{in_time, must_end};

use crate::program::{Program, crowds, lines, programs};

fn config(cases: u32) -> ProptestConfig {
    let given = env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: given.map_or(cases, |cases| cases.parse().expect("a number")),
        failure_persistence: None,
        // A program that hangs takes a minute to fail.
        max_shrink_time: 120_000,
        ..ProptestConfig::default()
    }
}

/// Any failure of `body`, a panic too, makes the program shorter until it is not one any more.
fn check<S>(cases: u32, programs: &S, body: fn(&S::Value) -> Result<(), String>)
where
    S: Strategy<Value: Clone + Send + 'static>,
{
    let test = |program: S::Value| must_end(move || body(&program)).map_err(TestCaseError::fail);
    if let Err(error) = TestRunner::new(config(cases)).run(programs, test) {
        panic!("{error}");
    }
}

/// What is ready is to be found so by each poll: the model knows of no budget.
fn run(program: &Program, time: Duration) -> Option<Result<(), String>> {
    ump::coop::with_budget(u32::MAX, || world::run(program, time))
}

#[test]
fn a_channel_does_what_its_model_does() {
    check(1_000, &programs(120), |program| {
        in_time(|time| run(program, time))
    });
}

#[test]
fn urgent_requests_overtake_as_in_the_model() {
    check(300, &crowds(40), |program| {
        in_time(|time| run(program, time))
    });
}

#[test]
fn senders_waiting_for_room_are_woken_as_in_the_model() {
    check(500, &lines(50), |program| {
        in_time(|time| run(program, time))
    });
}

#[test]
fn requests_between_threads_end_as_they_may() {
    check(2_000, &threads::races(), threads::run);
}
