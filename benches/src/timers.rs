//! What timers cost: those of `ump-server` beside tokio's and beside simpler structures.
//!
//! Time is virtual: nothing here waits. Each contender does the same work in each round, on the same random numbers.

mod clock;
mod contenders;
mod measure;
mod report;

use std::{error::Error, path::Path};

use serde::{Deserialize, Serialize};

use crate::{machine::Machine, subject};

/// How many timers are armed at the same time.
const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];

#[derive(Serialize, Deserialize)]
struct Results {
    machine: Machine,
    rounds: usize,
    /// For each of `SIZES`.
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

/// What one contender took in one round. Nanoseconds for each timer, unless it says otherwise.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Sample {
    /// To arm all, with random deadlines.
    arm: f64,
    /// To cancel one and to arm another: any one, with a random deadline.
    any: f64,
    /// The same: the oldest, with a deadline that is later than all others.
    oldest: f64,
    /// The same: the one just armed, with a random deadline.
    newest: f64,
    /// To arm and to have come due.
    expire: f64,
    /// The longest that one look took, of one look a millisecond for a minute, in nanoseconds.
    longest_look: f64,
    /// Bytes allocated for each timer when all are armed.
    bytes: f64,
    /// Bytes allocated when all have been cancelled again.
    bytes_left: f64,
}

/// Measures all, prints the tables, and writes them and the data into `directory`.
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
