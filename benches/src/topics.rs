//! The cost of finding the subscribers of a message: the index of `ump-router` beside the tree of
//! `zenoh-keyexpr` and a plain hash map.

mod contenders;
mod measure;
mod names;
mod report;

use std::{error::Error, path::Path};

use serde::{Deserialize, Serialize};

use crate::{machine::Machine, subject};

/// The numbers of subscriptions.
const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

#[derive(Serialize, Deserialize)]
struct Results {
    machine: Machine,
    rounds: usize,
    /// The results for each of `SIZES`.
    sizes: Vec<SizeResult>,
}

#[derive(Serialize, Deserialize)]
struct SizeResult {
    subscriptions: usize,
    /// How many subscriptions a topic reaches on average.
    of_topic: f64,
    /// How many subscriptions a pattern reaches on average.
    of_pattern: f64,
    contenders: Vec<ContenderResult>,
}

#[derive(Serialize, Deserialize)]
struct ContenderResult {
    name: String,
    rounds: Vec<Sample>,
}

/// The results of one contender in one round, in nanoseconds unless noted. What it cannot do is
/// zero.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Sample {
    /// Finding the subscribers of a topic, among subscriptions of which a tenth has wildcards.
    find: f64,
    /// How many subscriptions a pattern reaches on average.
    find_pattern: f64,
    /// Finding the subscribers of a topic, without wildcards anywhere.
    find_concrete: f64,
    /// Adding a subscription, given as text.
    insert: f64,
    /// Removing any subscription.
    remove: f64,
    /// Bytes allocated for each subscription.
    bytes: f64,
    /// Bytes still allocated after all were removed.
    bytes_left: f64,
}

/// Measures all contenders, prints the tables, and writes them and the data into `directory`.
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
