//! Everything at once, for as long as it is told, with books: `cargo run --release --example soak -- 10m`
//!
//! Channels of all shapes live side by side, each for less than a second. Threads and tasks ask in every way there is (with deadlines,
//! urgent, cancelled, posted, gathered), threads and tasks answer in every way there is (refuse, let go, panic, pass on), and both come
//! and go. When a channel has ended, what was seen by those who took part must be what the channel has counted, to the last request;
//! when all have ended every value has been dropped once, and the memory is that of before.

mod args;
mod book;
mod callers;
mod dice;
mod memory;
mod parcel;
mod station;
mod watch;
mod workers;

use std::{
    env,
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use output::{progress, say};
use tokio::runtime::{self, Handle, Runtime};

use crate::{
    args::Args,
    book::Ledger,
    dice::Dice,
    memory::Memory,
    parcel::census,
    watch::{Watch, lock},
};

/// A line of progress as often as this.
const PROGRESS: Duration = Duration::from_secs(1);
/// How often one looks whether it is time for anything.
const TICK: Duration = Duration::from_millis(20);
/// The warm-up takes this part of the time.
const WARM_UP: u32 = 5;

fn main() -> ExitCode {
    output::run("soak", run)
}

fn run() -> Result<bool, String> {
    let Some(args) = Args::parse(env::args_os().skip(1))? else {
        return say(args::HELP).map(|()| true);
    };
    progress(format!(
        "{} s, {} channels at a time; again with the same dice: --seed {}",
        args.time.as_secs(),
        args.channels,
        args.seed
    ));
    let runtime = start().map_err(|e| format!("cannot start tokio: {e}"))?;
    let soak = Soak::new(args, &runtime);
    let begin = Memory::now();
    let mut dice = Dice::new(args.seed);

    let warm_up = args.time / WARM_UP;
    soak.shift(warm_up, &mut dice)?;
    let warm = Memory::now();
    if !soak.is_interrupted() {
        soak.shift(args.time.saturating_sub(warm_up), &mut dice)?;
    }
    let end = Memory::now();

    let ledger = lock(&soak.ledger).to_string();
    say(format!(
        "{ledger}\n\
        memory at the start:      {begin}\n\
        memory after the warm-up: {warm}\n\
        memory at the end:        {end}\n"
    ))?;
    let troubles = soak.watch.troubles();
    if !troubles.is_empty() {
        return Err(troubles.join("\n      "));
    }
    if let Some(complaint) = lock(&soak.ledger).complaint() {
        return Err(complaint);
    }
    let parcels = census()?;
    if let Some(complaint) = end.complaint(&warm) {
        return Err(complaint);
    }
    say(format!(
        "all in order: every request ended once, and {parcels} messages and answers were dropped once each\n"
    ))?;
    Ok(true)
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
    watch: Arc<Watch>,
    interrupted: Arc<AtomicBool>,
    ledger: Arc<Mutex<Ledger>>,
    begun: Instant,
}

impl Soak {
    fn new(args: Args, runtime: &Runtime) -> Self {
        let interrupted = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&interrupted);
        runtime.spawn(async move {
            // If it cannot be watched for, there is never one.
            if tokio::signal::ctrl_c().await.is_ok() {
                flag.store(true, Ordering::Relaxed);
            }
        });
        Self {
            args,
            runtime: runtime.handle().clone(),
            watch: Arc::new(Watch::new(args.forget_at)),
            interrupted,
            ledger: Arc::default(),
            begun: Instant::now(),
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Lets channels live until the time is up, then waits until all have ended.
    fn shift(&self, time: Duration, dice: &mut Dice) -> Result<(), String> {
        let end = Instant::now() + time;
        self.watch.go_on();
        let stations: Vec<_> = (0..self.args.channels)
            .map(|_| {
                let (watch, runtime) = (Arc::clone(&self.watch), self.runtime.clone());
                let (ledger, mut dice) = (Arc::clone(&self.ledger), dice.fork());
                thread::spawn(move || {
                    while !watch.is_over() {
                        let life = station::live(&watch, &runtime, dice.fork());
                        lock(&ledger).add(&life);
                    }
                })
            })
            .collect();
        let mut next = Instant::now() + PROGRESS;
        while stations.iter().any(|station| !station.is_finished()) {
            thread::sleep(TICK);
            if self.is_interrupted() || Instant::now() >= end {
                self.watch.stop();
            }
            if let Some(late) = self.watch.late(self.args.patience) {
                progress(lock(&self.ledger).to_string());
                let mut troubles = self.watch.troubles();
                troubles.push(late);
                return Err(troubles.join("\n      "));
            }
            if Instant::now() >= next {
                next += PROGRESS;
                self.report_progress();
            }
        }
        for station in stations {
            station.join().map_err(|_| "a channel's thread panicked")?;
        }
        self.settle()
    }

    /// What is passed on is told by tasks that may not have been dropped yet.
    fn settle(&self) -> Result<(), String> {
        let begun = Instant::now();
        let tasks = || self.runtime.metrics().num_alive_tasks();
        // The one that waits for Ctrl-C.
        while tasks() > 1 {
            if begun.elapsed() > self.args.patience {
                return Err(format!("{} tasks do not end", tasks() - 1));
            }
            thread::sleep(TICK);
        }
        Ok(())
    }

    fn report_progress(&self) {
        let seconds = self.begun.elapsed().as_secs();
        let made = self.watch.made();
        progress(format!(
            "{seconds:5} s  {made:12} requests  {:8} a second  {}",
            made / seconds.max(1),
            Memory::now()
        ));
    }
}
