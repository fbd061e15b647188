//! Loops that own sockets, beside bare loops: requests to them, echoes by TCP and UDP, and many
//! idle sockets.
//!
//! A case has several contenders, each of which serves in a thread of its own for the whole case.
//! The first of them is the reference. The figures that count are the ratios within a round.

mod gathering;
pub(crate) mod idle;
mod posting;
mod report;
mod requests;
mod servers;
mod tcp;
#[cfg(target_os = "linux")]
mod udp;

use std::{
    error::Error,
    net::Ipv4Addr,
    path::Path,
    time::{Duration, Instant},
};

use cli::log;
use serde::{Deserialize, Serialize};

use crate::{machine::Machine, sample::as_f64, subject};

const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

#[derive(Serialize, Deserialize)]
struct Results {
    machine: Machine,
    rounds: usize,
    cases: Vec<CaseResult>,
    idle: Vec<idle::Idle>,
}

#[derive(Serialize, Deserialize)]
struct CaseResult {
    title: String,
    contenders: Vec<ContenderResult>,
}

#[derive(Serialize, Deserialize)]
struct ContenderResult {
    name: String,
    /// Nanoseconds each, of each round, in the order of the rounds.
    nanoseconds: Vec<f64>,
}

/// A case that is measured in rounds. The first contender is the reference.
struct Case {
    title: String,
    contenders: Vec<Contender>,
}

/// A name, and the function that measures a round: nanoseconds each.
struct Contender(&'static str, Box<dyn FnMut() -> f64>);

impl Contender {
    /// Creates the contender that does something `count` times in a round.
    fn new(name: &'static str, count: usize, mut round: impl FnMut(usize) + 'static) -> Self {
        Self::timed(name, count, move |count| {
            let start = Instant::now();
            round(count);
            start.elapsed()
        })
    }

    /// Creates a contender that measures its own time.
    fn timed(
        name: &'static str,
        count: usize,
        mut round: impl FnMut(usize) -> Duration + 'static,
    ) -> Self {
        round(count.div_ceil(10)); // to warm up
        let nanoseconds_each = move || round(count).as_secs_f64() * 1e9 / as_f64(count as u64);
        Self(name, Box::new(nanoseconds_each))
    }
}

/// The amount of work.
#[derive(Clone, Copy)]
struct Work {
    quick: bool,
}

impl Work {
    /// Returns the number for a round, given the one for a complete run.
    fn of(self, count: usize) -> usize {
        if self.quick {
            count.div_ceil(10)
        } else {
            count
        }
    }
}

/// Measures all, prints the tables, and writes them and the data into `directory`.
pub(crate) fn run(
    quick: bool,
    rounds: Option<usize>,
    directory: &Path,
) -> Result<(), Box<dyn Error>> {
    let cases: &[fn(Work) -> Case] = &[
        requests::awake,
        requests::asleep,
        |work| tcp::echo(work, 1),
        |work| tcp::echo(work, 50),
        |work| tcp::through_a_component(work, 1),
        |work| tcp::through_a_component(work, 50),
    ];
    let cases = [cases, BY_UDP].concat();
    publish(
        "net",
        &cases,
        quick,
        rounds,
        || Ok(idle::measure_all(quick)?),
        directory,
    )
}

/// Measures the echoes by UDP alone.
pub(crate) fn run_udp(
    quick: bool,
    rounds: Option<usize>,
    directory: &Path,
) -> Result<(), Box<dyn Error>> {
    publish("udp", BY_UDP, quick, rounds, || Ok(Vec::new()), directory)
}

const BY_UDP: &[fn(Work) -> Case] = &[
    #[cfg(target_os = "linux")]
    udp::echo::<64>,
    #[cfg(target_os = "linux")]
    udp::echo::<1_500>,
];

fn publish(
    name: &str,
    cases: &[fn(Work) -> Case],
    quick: bool,
    rounds: Option<usize>,
    idle: impl FnOnce() -> Result<Vec<idle::Idle>, Box<dyn Error>>,
    directory: &Path,
) -> Result<(), Box<dyn Error>> {
    let rounds = rounds.unwrap_or(if quick { 3 } else { 41 });
    let work = Work { quick };
    let measured = cases.iter().map(|case| measure(case(work), rounds));
    let results = Results {
        machine: Machine::this(),
        rounds,
        cases: measured.collect(),
        idle: idle()?,
    };
    subject::publish(name, &report::markdown(&results), &results, directory)
}

fn measure(mut case: Case, rounds: usize) -> CaseResult {
    log!("{}", case.title);
    let contenders = &mut case.contenders;
    let mut nanoseconds = vec![Vec::new(); contenders.len()];
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let at = (turn + round) % contenders.len(); // nobody is always first
            nanoseconds[at].push(contenders[at].1());
        }
    }
    let result = |(Contender(name, _), nanoseconds)| ContenderResult {
        name: String::from(name),
        nanoseconds,
    };
    CaseResult {
        title: case.title,
        contenders: case
            .contenders
            .into_iter()
            .zip(nanoseconds)
            .map(result)
            .collect(),
    }
}
