//! The restart of loops after a panic, and the lateness of timers: in real time, on a machine that
//! does nothing else.
//!
//! Rounds are interleaved, as everywhere here; the tables show all rounds together.

mod lateness;
mod report;
mod restart;

use std::{error::Error, path::Path};

use serde::{Deserialize, Serialize};

use crate::{machine::Machine, subject};

#[derive(Serialize, Deserialize)]
struct Results {
    machine: Machine,
    rounds: usize,
    /// The time from a panic to the reply to the next queued request.
    restart: Vec<ContenderResult>,
    /// The time from a deadline to the call.
    lateness: Vec<ContenderResult>,
}

#[derive(Serialize, Deserialize)]
struct ContenderResult {
    name: String,
    nanoseconds: Summary,
}

#[derive(Serialize, Deserialize)]
struct Summary {
    samples: usize,
    least: i64,
    median: i64,
    /// The 99th percentile.
    p99: i64,
    most: i64,
}

/// The names of the contenders, and the function that takes the samples of a round in nanoseconds.
type Contender = (&'static str, fn(round: u64) -> Vec<i64>);

/// Measures both, prints the tables, and writes them and the data into `directory`.
pub(crate) fn run(
    quick: bool,
    rounds: Option<usize>,
    directory: &Path,
) -> Result<(), Box<dyn Error>> {
    let rounds = rounds.unwrap_or(if quick { 5 } else { 50 });
    restart::silence();
    let results = Results {
        machine: Machine::this(),
        rounds,
        restart: measure(&restart::CONTENDERS, rounds),
        lateness: measure(&lateness::CONTENDERS, rounds),
    };
    subject::publish("loops", &report::markdown(&results), &results, directory)
}

fn measure(contenders: &[Contender], rounds: usize) -> Vec<ContenderResult> {
    let mut samples = vec![Vec::new(); contenders.len()];
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let at = (turn + round) % contenders.len(); // nobody is always first
            samples[at].extend(contenders[at].1(round as u64));
        }
    }
    let result = |(&(name, _), samples): (&Contender, Vec<i64>)| ContenderResult {
        name: name.into(),
        nanoseconds: Summary::of(samples),
    };
    contenders.iter().zip(samples).map(result).collect()
}

impl Summary {
    fn of(mut samples: Vec<i64>) -> Self {
        samples.sort_unstable();
        // The smallest of which at least so many hundredths are not larger.
        let percentile = |percent: usize| samples[(samples.len() * percent).div_ceil(100) - 1];
        Self {
            samples: samples.len(),
            least: samples[0],
            median: percentile(50),
            p99: percentile(99),
            most: percentile(100),
        }
    }
}
