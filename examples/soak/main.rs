//! All operations of the channel mixed for a given time, with checks: `cargo run --release
//! --example soak -- 10m`
//!
//! Channels with different options live side by side, each for less than a second. Threads and
//! tasks send requests in all ways (with deadlines, urgent, cancelled, posted, gathered); threads
//! and tasks handle them in all ways (fail, drop, panic, hand off); both come and go. When a
//! channel has ended, the counts of the participants must equal those of the channel. When all have
//! ended, each value must have been dropped once, and the memory must not have grown.

mod args;
mod callers;
mod channel_run;
mod counts;
mod memory;
mod payload;
mod rng;
mod watchdog;
mod workers;

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use cli::{print, progress};
use tokio::runtime::{self, Handle, Runtime};

use crate::{
    args::Args,
    counts::Comparison,
    memory::Memory,
    payload::check_drops,
    rng::Rng,
    watchdog::{Watchdog, lock},
};

/// The interval of progress lines.
const PROGRESS: Duration = Duration::from_secs(1);
/// The polling interval of the main thread.
const TICK: Duration = Duration::from_millis(20);
/// The warm-up takes one part in this many of the time.
const WARM_UP: u32 = 5;

fn main() -> ExitCode {
    cli::run_with_args(run)
}

fn run(args: &Args) -> Result<bool, String> {
    let seed = args.seed.unwrap_or_else(random_seed);
    progress(format!(
        "{} s, {} channels at a time; to repeat the random decisions: --seed {}",
        args.time.as_secs(),
        args.channels,
        seed
    ));
    let runtime = start().map_err(|e| format!("cannot start tokio: {e}"))?;
    let soak = Soak::new(*args, &runtime);
    let begin = Memory::now();
    let mut rng = Rng::new(seed);

    let warm_up = args.time / WARM_UP;
    soak.phase(warm_up, &mut rng)?;
    let warm = Memory::now();
    if !soak.is_interrupted() {
        soak.phase(args.time.saturating_sub(warm_up), &mut rng)?;
    }
    let end = Memory::now();

    let comparison = lock(&soak.comparison).to_string();
    print(format!(
        "{comparison}\n\
        memory at the start:      {begin}\n\
        memory after the warm-up: {warm}\n\
        memory at the end:        {end}\n"
    ))?;
    let failures = soak.watchdog.failures();
    if !failures.is_empty() {
        return Err(failures.join("\n      "));
    }
    if let Some(mismatch) = lock(&soak.comparison).mismatch() {
        return Err(mismatch);
    }
    let payloads = check_drops()?;
    if let Some(mismatch) = end.growth(&warm) {
        return Err(mismatch);
    }
    print(format!(
        "all in order: every request ended once, and {payloads} messages and answers were dropped once each\n"
    ))?;
    Ok(true)
}

fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish() % 1_000_000
}

fn start() -> std::io::Result<Runtime> {
    runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

struct Soak {
    args: Args,
    runtime: Handle,
    watchdog: Arc<Watchdog>,
    interrupted: Arc<AtomicBool>,
    comparison: Arc<Mutex<Comparison>>,
    begun: Instant,
}

impl Soak {
    fn new(args: Args, runtime: &Runtime) -> Self {
        let interrupted = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&interrupted);
        runtime.spawn(async move {
            // Without a signal handler it is never interrupted.
            if tokio::signal::ctrl_c().await.is_ok() {
                flag.store(true, Ordering::Relaxed);
            }
        });
        Self {
            args,
            runtime: runtime.handle().clone(),
            watchdog: Arc::new(Watchdog::new(args.forget_at)),
            interrupted,
            comparison: Arc::default(),
            begun: Instant::now(),
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Runs channels until the time is up, then waits until all have ended.
    fn phase(&self, time: Duration, rng: &mut Rng) -> Result<(), String> {
        let end = Instant::now() + time;
        self.watchdog.resume();
        let runs: Vec<_> = (0..self.args.channels)
            .map(|_| {
                let (watchdog, runtime) = (Arc::clone(&self.watchdog), self.runtime.clone());
                let (comparison, mut rng) = (Arc::clone(&self.comparison), rng.fork());
                thread::spawn(move || {
                    while !watchdog.is_stopping() {
                        let life = channel_run::run(&watchdog, &runtime, rng.fork());
                        lock(&comparison).add(&life);
                    }
                })
            })
            .collect();
        let mut next = Instant::now() + PROGRESS;
        while runs.iter().any(|run| !run.is_finished()) {
            thread::sleep(TICK);
            if self.is_interrupted() || Instant::now() >= end {
                self.watchdog.stop();
            }
            if let Some(late) = self.watchdog.overdue(self.args.outcome_timeout) {
                progress(lock(&self.comparison).to_string());
                let mut failures = self.watchdog.failures();
                failures.push(late);
                return Err(failures.join("\n      "));
            }
            if Instant::now() >= next {
                next += PROGRESS;
                self.report_progress();
            }
        }
        for run in runs {
            run.join().map_err(|_| "a channel's thread panicked")?;
        }
        self.settle()
    }

    /// Waits for the tasks that hand requests off, which outlive their workers.
    fn settle(&self) -> Result<(), String> {
        let begun = Instant::now();
        let tasks = || self.runtime.metrics().num_alive_tasks();
        // The one task left waits for Ctrl-C.
        while tasks() > 1 {
            if begun.elapsed() > self.args.outcome_timeout {
                return Err(format!("{} tasks have not ended", tasks() - 1));
            }
            thread::sleep(TICK);
        }
        Ok(())
    }

    fn report_progress(&self) {
        let seconds = self.begun.elapsed().as_secs();
        let made = self.watchdog.made();
        progress(format!(
            "{seconds:5} s  {made:12} requests  {:8} a second  {}",
            made / seconds.max(1),
            Memory::now()
        ));
    }
}
