//! Runs programs, and shortens one that fails.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestError, TestRunner},
};

use crate::{World, program::Step};

/// Runs `cases` programs; `PROPTEST_CASES` overrides the number.
pub(crate) fn check(cases: u32, programs: &impl Strategy<Value = Vec<Step>>) {
    let cases = env::var("PROPTEST_CASES").map_or(cases, |given| given.parse().expect("a number"));
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 10_000,
        ..Config::default()
    });
    let result = runner.run(programs, |program| {
        World::run(program);
        Ok(())
    });
    let program = match result {
        Ok(()) => return,
        Err(TestError::Fail(_, program)) => minimize(program),
        Err(error) => panic!("{error}"),
    };
    eprintln!("\nthe shortest program that fails:");
    for step in &program {
        eprintln!("    {step:?}");
    }
    World::run(program);
    unreachable!("the program fails again");
}

/// Removes steps that the failure does not need. The meaning of a step depends on the steps before
/// it, so proptest leaves some of them in.
fn minimize(mut program: Vec<Step>) -> Vec<Step> {
    let fails =
        |program: &[Step]| catch_unwind(AssertUnwindSafe(|| World::run(program.to_vec()))).is_err();
    let mut nth = 0;
    while nth < program.len() {
        let mut shorter = program.clone();
        shorter.remove(nth);
        if fails(&shorter) {
            (program, nth) = (shorter, 0);
        } else {
            nth += 1;
        }
    }
    program
}
