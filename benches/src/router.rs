//! The cost of routing by topic: requests beside a bare channel, messages to many subscribers
//! beside a broadcast channel, and both beside the published crate `t2_bus`. And what is divided
//! among a group, asked of all, or published to nobody, beside what does it by hand.

mod fan_out;
mod nobody;
mod report;
mod request_all;
mod requests;
mod shared;
mod t2_bus;
mod workload;

use std::{
    error::Error,
    path::Path,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};

use crate::{allocations, machine::Machine, sample::as_f64, subject};

#[derive(Serialize, Deserialize)]
struct Results {
    machine: Machine,
    rounds: usize,
    tables: Vec<Table>,
}

#[derive(Serialize, Deserialize)]
struct Table {
    title: String,
    contenders: Vec<ContenderResult>,
}

#[derive(Serialize, Deserialize)]
struct ContenderResult {
    name: String,
    /// Nanoseconds per request, or per delivery.
    rounds: Vec<f64>,
    /// Allocations per request, or per delivery.
    allocations: f64,
}

/// Contenders that are measured side by side.
struct Case {
    title: &'static str,
    contenders: &'static [Contender],
}

struct Contender {
    name: &'static str,
    /// The number of repetitions in a round, chosen so that each contender takes about as long.
    times: u32,
    run: fn(u32, Watch) -> Lap,
}

/// The work of a contender, in requests or deliveries, without the warm-up.
struct Lap {
    done: u32,
    took: Duration,
    allocations: u64,
}

/// Measures time, or counts allocations.
#[derive(Clone, Copy)]
struct Watch {
    counts: bool,
}

/// Measures all cases, prints the tables, and writes them and the data into `directory`.
pub(crate) fn run(
    quick: bool,
    rounds: Option<usize>,
    directory: &Path,
) -> Result<(), Box<dyn Error>> {
    let rounds = rounds.unwrap_or(if quick { 3 } else { 21 });
    let cases = requests::CASES
        .iter()
        .chain(&fan_out::CASES)
        .chain(&shared::CASES)
        .chain(&request_all::CASES)
        .chain(&nobody::CASES);
    let results = Results {
        machine: Machine::this(),
        rounds,
        tables: cases.map(|case| measure(case, rounds)).collect(),
    };
    subject::publish("router", &report::markdown(&results), &results, directory)
}

fn measure(case: &Case, rounds: usize) -> Table {
    let mut times = vec![Vec::new(); case.contenders.len()];
    for round in 0..rounds {
        for turn in 0..case.contenders.len() {
            let at = (turn + round) % case.contenders.len(); // nobody is always first
            let Contender {
                times: often, run, ..
            } = case.contenders[at];
            times[at].push(run(often, Watch { counts: false }).nanoseconds());
        }
    }
    let contenders = case.contenders.iter().zip(times);
    let result = |(contender, rounds): (&Contender, Vec<f64>)| {
        // In a lap of its own, as to count takes time.
        let lap = (contender.run)(contender.times.div_ceil(10), Watch { counts: true });
        ContenderResult {
            name: contender.name.into(),
            rounds,
            allocations: as_f64(lap.allocations) / f64::from(lap.done),
        }
    };
    Table {
        title: case.title.into(),
        contenders: contenders.map(result).collect(),
    }
}

impl Lap {
    fn nanoseconds(&self) -> f64 {
        self.took.as_secs_f64() * 1e9 / f64::from(self.done)
    }
}

impl Watch {
    fn start(self) -> Running {
        allocations::enable(self.counts);
        Running {
            allocations: allocations::count(),
            start: Instant::now(),
        }
    }
}

struct Running {
    allocations: u64,
    start: Instant,
}

impl Running {
    fn stop(self, done: u32) -> Lap {
        let took = self.start.elapsed();
        allocations::enable(false);
        Lap {
            done,
            took,
            allocations: allocations::count() - self.allocations,
        }
    }
}

/// Runs a future on an executor thread; `block_on` alone would run it on this one.
fn in_task(runtime: &Runtime, work: impl Future<Output = Lap> + Send + 'static) -> Lap {
    let done = runtime.block_on(runtime.spawn(work));
    done.expect("it does not panic")
}

fn one_thread() -> Runtime {
    let runtime = Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime")
}

/// A runtime as `#[tokio::main]` makes on this machine.
fn two_threads() -> Runtime {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    runtime.expect("a runtime")
}
