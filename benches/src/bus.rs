//! The rate of messages from one thread to another: the bus of `ump-server`, its peers, and posts.

mod threads;

use std::{error::Error, fmt::Write, path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    machine::Machine,
    subject::{self, TAKES_ALL, heading},
};

#[derive(Serialize, Deserialize)]
struct Results {
    machine: Machine,
    rounds: usize,
    /// The number of messages in a round.
    messages: u64,
    contenders: Vec<ContenderResult>,
}

#[derive(Serialize, Deserialize)]
struct ContenderResult {
    name: String,
    /// Millions of messages per second, of each round, in ascending order.
    rates: Vec<f64>,
}

/// The names of the contenders, and the function that sends so many messages.
type Contender = (&'static str, fn(count: u64) -> Duration);

const ABOUT: &str = "\
Messages of eight bytes from one thread to another, through a queue with room for 8,192, in millions per second. The receiver sleeps when there are none, and checks
that each message arrives once, in order. A sender that finds no room waits (channels) or yields (bus). The tasks of the last row are sans-IO tasks on two workers of a
controller: each message is an output of one and an input of the other, and the receiver acknowledges each 512, since a bus drops what finds no room.
";

/// Measures, prints the table, and writes it and the data into `directory`.
pub(crate) fn run(
    quick: bool,
    rounds: Option<usize>,
    directory: &Path,
) -> Result<(), Box<dyn Error>> {
    let rounds = rounds.unwrap_or(if quick { 3 } else { 15 });
    let messages = if quick { 500_000 } else { 2_000_000 };
    let contenders = &threads::CONTENDERS;
    let mut rates = vec![Vec::new(); contenders.len()];
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let at = (turn + round) % contenders.len(); // nobody is always first
            let took = contenders[at].1(messages).as_secs_f64();
            rates[at].push(Duration::from_micros(messages).as_secs_f64() / took);
        }
    }
    let result = |(&(name, _), mut rates): (&Contender, Vec<f64>)| {
        rates.sort_by(f64::total_cmp);
        ContenderResult {
            name: name.into(),
            rates,
        }
    };
    let results = Results {
        machine: Machine::this(),
        rounds,
        messages,
        contenders: contenders.iter().zip(rates).map(result).collect(),
    };
    subject::publish("bus", &markdown(&results), &results, directory)
}

fn markdown(results: &Results) -> String {
    let mut text = heading("Bus", ABOUT, &results.machine, results.rounds);
    text.push_str("\n| millions per second | least | median | most |\n|---|--:|--:|--:|\n");
    for ContenderResult { name, rates } in &results.contenders {
        let (least, most) = (rates[0], rates[rates.len() - 1]);
        let median = rates[rates.len() / 2];
        writeln!(text, "| {name} | {least:.1} | {median:.1} | {most:.1} |").expect(TAKES_ALL);
    }
    text
}
