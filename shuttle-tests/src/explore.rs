//! Runs a model under many schedules, or replays one.

use std::{
    env,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use shuttle::{
    Config, FailurePersistence, Runner,
    scheduler::{
        PctScheduler, RandomScheduler, ReplayScheduler, Scheduler,
        UncontrolledNondeterminismCheckScheduler,
    },
};

use crate::{
    quarantine::keep,
    tracker::{Outcome, Outcomes},
};

/// The default number of schedules of each scheduler.
const ITERATIONS: usize = 2000;
/// With fewer schedules, rare outcomes may not occur.
const MIN_FOR_OUTCOMES: usize = 100;
/// The depths of the PCT scheduler: the number of priority changes plus one.
const DEPTHS: std::ops::RangeInclusive<usize> = 2..=5;
/// The number of schedules that are run twice, to check that models are deterministic.
const CHECKED_TWICE: usize = 20;

/// Runs a model, which returns the outcomes of its requests, under `SHUTTLE_ITERATIONS` schedules
/// of each scheduler; or once, under the schedule in the file `SHUTTLE_REPLAY`.
///
/// # Panics
/// If the model fails (the schedule is then written to a file), if a schedule is not deterministic,
/// or if an `expected` outcome never occurs.
pub fn explore(expected: &[Outcome], model: impl Fn() -> Outcomes + Send + Sync + 'static) {
    let model = Arc::new(model);
    if let Some(schedule) = env::var_os("SHUTTLE_REPLAY") {
        let scheduler = ReplayScheduler::new_from_file(schedule).expect("a file with a schedule");
        run(scheduler, &model);
        return;
    }
    let iterations = env::var("SHUTTLE_ITERATIONS").map_or(ITERATIONS, |number| {
        number.parse().expect("SHUTTLE_ITERATIONS is a number")
    });
    let mut seen = Outcomes::new();
    for depth in DEPTHS {
        add(&mut seen, run(PctScheduler::new(depth, iterations), &model));
    }
    add(&mut seen, run(RandomScheduler::new(iterations), &model));
    let twice = RandomScheduler::new(iterations.min(CHECKED_TWICE));
    run(UncontrolledNondeterminismCheckScheduler::new(twice), &model);
    println!("{seen:?}");
    let missing = expected.iter().filter(|end| !seen.contains_key(end));
    let missing: Vec<_> = missing.collect();
    assert!(
        missing.is_empty() || iterations < MIN_FOR_OUTCOMES,
        "never seen: {missing:?}"
    );
}

fn run<M>(scheduler: impl Scheduler + 'static, model: &Arc<M>) -> Outcomes
where
    M: Fn() -> Outcomes + Send + Sync + 'static,
{
    let seen = Arc::new(Mutex::new(Outcomes::new()));
    let model = {
        let (model, seen) = (Arc::clone(model), Arc::clone(&seen));
        move || {
            let outcomes = keep(&*model);
            add(&mut seen.lock().expect("it is not poisoned"), outcomes);
        }
    };
    Runner::new(scheduler, config()).run(model);
    let mut seen = seen.lock().expect("it is not poisoned");
    std::mem::take(&mut *seen)
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config.silence_warnings = true;
    // Unwinding on the way to the report is not part of the schedule.
    config
        .ungraceful_shutdown_config
        .immediately_return_on_panic = true;
    config.failure_persistence = FailurePersistence::File(Some(schedules()));
    config
}

/// Returns the folder of failing schedules: that of the test binary.
fn schedules() -> PathBuf {
    let program = env::current_exe().expect("it runs");
    let beside = program.parent().expect("it is in a directory");
    beside.to_path_buf()
}

fn add(seen: &mut Outcomes, outcomes: Outcomes) {
    for (end, count) in outcomes {
        *seen.entry(end).or_default() += count;
    }
}
