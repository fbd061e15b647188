//! What it costs to find out whom a message reaches: the index of `ump-router` beside the tree of `zenoh-keyexpr` and beside a plain hash map.

mod contenders;
mod measure;
mod names;
mod report;

use std::{error::Error, path::Path};

use serde::{Deserialize, Serialize};

use crate::{machine::Machine, subject};

/// How many subscriptions there are.
const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

#[derive(Serialize, Deserialize)]
struct Results {
    machine: Machine,
    rounds: usize,
    /// For each of `SIZES`.
    sizes: Vec<SizeResult>,
}

#[derive(Serialize, Deserialize)]
struct SizeResult {
    subscriptions: usize,
    /// How many of them a topic reaches on average.
    of_topic: f64,
    /// The same for a pattern.
    of_pattern: f64,
    contenders: Vec<ContenderResult>,
}

#[derive(Serialize, Deserialize)]
struct ContenderResult {
    name: String,
    rounds: Vec<Sample>,
}

/// What one contender took in one round. Nanoseconds, unless it says otherwise; what it cannot do is zero.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Sample {
    /// To find whom a topic reaches, among subscriptions of which a tenth has wildcards.
    find: f64,
    /// The same for a pattern.
    find_pattern: f64,
    /// The same for a topic, without wildcards anywhere.
    find_concrete: f64,
    /// To add a subscription, given as text.
    insert: f64,
    /// To remove one, any.
    remove: f64,
    /// Bytes allocated for each subscription.
    bytes: f64,
    /// Bytes allocated when all have been removed again.
    bytes_left: f64,
}

/// Measures all, prints the tables, and writes them and the data into `directory`.
pub(crate) fn run(
    quick: bool,
    rounds: Option<usize>,
    directory: &Path,
) -> Result<(), Box<dyn Error>> {
    let rounds = rounds.unwrap_or(if quick { 3 } else { 11 });
    let results = Results {
        machine: Machine::this(),
        rounds,
        sizes: SIZES.map(|size| measure::all(size, rounds)).into(),
    };
    subject::publish("topics", &report::markdown(&results), &results, directory)
}
