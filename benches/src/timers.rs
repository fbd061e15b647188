//! The cost of timers: those of `ump-server` beside tokio's and simpler structures.
//!
//! Time is virtual: nothing here waits. Each contender does the same work in each round, on the
//! same random numbers.

mod clock;
mod contenders;
mod measure;
mod report;

use std::{error::Error, path::Path};

use serde::{Deserialize, Serialize};

use crate::{machine::Machine, subject};

/// The numbers of timers that are armed at the same time.
const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];

#[derive(Serialize, Deserialize)]
struct Results {
    machine: Machine,
    rounds: usize,
    /// The results for each of `SIZES`.
    sizes: Vec<SizeResult>,
}

#[derive(Serialize, Deserialize)]
struct SizeResult {
    armed: usize,
    contenders: Vec<ContenderResult>,
}

#[derive(Serialize, Deserialize)]
struct ContenderResult {
    name: String,
    rounds: Vec<Sample>,
}

/// The results of one contender in one round, in nanoseconds per timer unless noted.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Sample {
    /// Arming all, with random deadlines.
    arm: f64,
    /// Cancelling any timer and arming another with a random deadline.
    any: f64,
    /// Cancelling the oldest timer and arming another with the latest deadline of all.
    oldest: f64,
    /// Cancelling the newest timer and arming another with a random deadline.
    newest: f64,
    /// Arming and firing.
    expire: f64,
    /// The longest of the looks, one each millisecond for a minute, in nanoseconds.
    longest_look: f64,
    /// Bytes allocated for each timer when all are armed.
    bytes: f64,
    /// Bytes still allocated after all were cancelled.
    bytes_left: f64,
}

/// Measures all contenders, prints the tables, and writes them and the data into `directory`.
pub(crate) fn run(
    quick: bool,
    rounds: Option<usize>,
    directory: &Path,
) -> Result<(), Box<dyn Error>> {
    let rounds = rounds.unwrap_or(if quick { 3 } else { 11 });
    let sizes = SIZES.iter().map(|&armed| SizeResult {
        armed,
        contenders: measure::all(armed, rounds),
    });
    let results = Results {
        machine: Machine::this(),
        rounds,
        sizes: sizes.collect(),
    };
    subject::publish("timers", &report::markdown(&results), &results, directory)
}
