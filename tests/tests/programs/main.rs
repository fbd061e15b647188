//! Random programs against a model of the channel. A failing program is shrunk and printed.
//!
//! `PROPTEST_CASES=100000 cargo test --release -p tests --test programs` runs more of them.

#![forbid(unsafe_code)]

mod execution;
mod model;
mod payload;
mod program;
mod threads;

use std::{env, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{TestCaseError, TestRunner},
};
use tests::{must_end, with_growing_time};

use crate::program::{Program, programs, urgent_programs, waiting_programs};

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

/// Shrinks the program while `body` fails or panics.
fn check<S>(cases: u32, programs: &S, body: fn(&S::Value) -> Result<(), String>)
where
    S: Strategy<Value: Clone + Send + 'static>,
{
    let test = |program: S::Value| must_end(move || body(&program)).map_err(TestCaseError::fail);
    if let Err(error) = TestRunner::new(config(cases)).run(programs, test) {
        panic!("{error}");
    }
}

/// Disables budgets, which the model does not have: each poll finds what is ready.
fn run(program: &Program, time: Duration) -> Option<Result<(), String>> {
    ump::coop::with_budget(u32::MAX, || execution::run(program, time))
}

#[test]
fn a_channel_does_what_its_model_does() {
    check(1_000, &programs(120), |program| {
        with_growing_time(|time| run(program, time))
    });
}

#[test]
fn urgent_requests_overtake_as_in_the_model() {
    check(300, &urgent_programs(40), |program| {
        with_growing_time(|time| run(program, time))
    });
}

#[test]
fn senders_waiting_for_room_are_woken_as_in_the_model() {
    check(500, &waiting_programs(50), |program| {
        with_growing_time(|time| run(program, time))
    });
}

#[test]
fn requests_between_threads_end_as_they_may() {
    check(2_000, &threads::races(), threads::run);
}
