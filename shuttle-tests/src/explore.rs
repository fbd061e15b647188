//! Runs a model under many schedules, or again under one.

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
    book::{End, Ends},
    quarantine::keep,
};

/// So many schedules of each scheduler.
const ITERATIONS: usize = 2000;
/// With fewer, what is rare may not be seen.
const ENOUGH: usize = 100;
/// How often the order of precedence of the actors may change on the way, plus one.
const DEPTHS: std::ops::RangeInclusive<usize> = 2..=5;
/// So many schedules are run twice, to see that they can be.
const TWICE: usize = 20;

/// Runs a model, which returns how its requests have ended, under `SHUTTLE_ITERATIONS` schedules of each scheduler; or once, under the
/// schedule in the file `SHUTTLE_REPLAY`.
///
/// # Panics
/// If the model fails (the schedule is written to a file then), if one schedule does not always lead to the same, or if one of the ends
/// `to_be_seen` has never occurred, so that nothing is said about it.
pub fn explore(to_be_seen: &[End], model: impl Fn() -> Ends + Send + Sync + 'static) {
    let model = Arc::new(model);
    if let Some(schedule) = env::var_os("SHUTTLE_REPLAY") {
        let scheduler = ReplayScheduler::new_from_file(schedule).expect("a file with a schedule");
        run(scheduler, &model);
        return;
    }
    let iterations = env::var("SHUTTLE_ITERATIONS").map_or(ITERATIONS, |number| {
        number.parse().expect("SHUTTLE_ITERATIONS is a number")
    });
    let mut seen = Ends::new();
    for depth in DEPTHS {
        add(&mut seen, run(PctScheduler::new(depth, iterations), &model));
    }
    add(&mut seen, run(RandomScheduler::new(iterations), &model));
    let twice = RandomScheduler::new(iterations.min(TWICE));
    run(UncontrolledNondeterminismCheckScheduler::new(twice), &model);
    println!("{seen:?}");
    let missing = to_be_seen.iter().filter(|end| !seen.contains_key(end));
    let missing: Vec<_> = missing.collect();
    assert!(
        missing.is_empty() || iterations < ENOUGH,
        "never seen: {missing:?}"
    );
}

fn run<M>(scheduler: impl Scheduler + 'static, model: &Arc<M>) -> Ends
where
    M: Fn() -> Ends + Send + Sync + 'static,
{
    let seen = Arc::new(Mutex::new(Ends::new()));
    let model = {
        let (model, seen) = (Arc::clone(model), Arc::clone(&seen));
        move || {
            let ends = keep(&*model);
            add(&mut seen.lock().expect("nobody panics with it"), ends);
        }
    };
    Runner::new(scheduler, config()).run(model);
    let mut seen = seen.lock().expect("nobody panics with it");
    std::mem::take(&mut *seen)
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config.silence_warnings = true;
    // What is unwound on the way to the report is not part of the schedule.
    config
        .ungraceful_shutdown_config
        .immediately_return_on_panic = true;
    config.failure_persistence = FailurePersistence::File(Some(schedules()));
    config
}

/// Where failing schedules are written: beside the program of the tests.
fn schedules() -> PathBuf {
    let program = env::current_exe().expect("it runs");
    let beside = program.parent().expect("it is in a directory");
    beside.to_path_buf()
}

fn add(seen: &mut Ends, ends: Ends) {
    for (end, count) in ends {
        *seen.entry(end).or_default() += count;
    }
}
