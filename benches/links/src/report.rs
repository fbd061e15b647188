//! The results, and their tables.

use std::fmt::{self, Write};

use serde::Serialize;

use crate::{
    contenders::{Measured, as_f64},
    idle::Idle,
    machine::Machine,
    options::Options,
    peer::Failed,
};

const ABOUT: &str = "\
Links between routers, beside raw sockets and the nearest peers, on loopback. Each has processes of its own: the hub, the server, the subscribers; the client is the
process that measures. Microseconds each: median and 90th percentile of the rounds, and the 99th percentile of single requests, the median of the rounds. The ratios are to the
quicker echo of the same round, or to the first row if there is no echo; their median and 90th percentile are what counts. CPU seconds are those of all processes, for a
million messages, and waits are those of all threads for each message, which other work on the machine hardly changes. Pipelined clients have 16 requests outstanding each. `blocking` is a thread that calls; the other clients are tasks.
";

#[derive(Serialize)]
pub(crate) struct Results {
    machine: Machine,
    rounds: usize,
    pub(crate) cases: Vec<CaseResult>,
    pub(crate) idle: Vec<Idle>,
}

#[derive(Serialize)]
pub(crate) struct CaseResult {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) contenders: Vec<ContenderResult>,
}

/// One value for each round, in their order.
#[derive(Serialize)]
pub(crate) struct ContenderResult {
    name: String,
    /// The reason why it was left out.
    skipped: Option<String>,
    microseconds: Vec<f64>,
    /// The 99th percentile of single requests.
    microseconds_99: Vec<f64>,
    cpu_seconds_per_million: Vec<f64>,
    /// How often a thread has waited for each message.
    waits: Vec<f64>,
}

impl ContenderResult {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            skipped: None,
            microseconds: Vec::new(),
            microseconds_99: Vec::new(),
            cpu_seconds_per_million: Vec::new(),
            waits: Vec::new(),
        }
    }

    pub(crate) fn skipped(name: &str, why: String) -> Self {
        Self {
            skipped: Some(why),
            ..Self::new(name)
        }
    }

    /// One that could not go on.
    pub(crate) fn failed(name: &str, error: &Failed) -> Self {
        eprintln!("\n  {name} failed: {error}");
        Self::skipped(name, format!("it failed: {error}"))
    }

    pub(crate) fn add(&mut self, measured: &Measured) {
        let lap = &measured.lap;
        let messages = as_f64(lap.messages);
        self.microseconds
            .push(lap.elapsed.as_secs_f64() * 1e6 / messages);
        let each: Vec<f64> = lap.each.iter().map(|one| as_f64(*one) / 1e3).collect();
        if !each.is_empty() {
            self.microseconds_99.push(percentile(&each, 99));
        }
        self.cpu_seconds_per_million
            .push(measured.cpu.as_secs_f64() * 1e6 / messages);
        self.waits.push(as_f64(measured.waits) / messages);
    }
}

impl Results {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            machine: Machine::this(),
            rounds: options.rounds,
            cases: Vec::new(),
            idle: Vec::new(),
        }
    }
}

pub(crate) fn markdown(results: &Results) -> Result<String, fmt::Error> {
    let machine = &results.machine;
    let mut text = format!(
        "# Links\n\n{ABOUT}\n{}, {}, {} CPUs, {}, {}; {} rounds.\n",
        machine.date, machine.cpu, machine.cpus, machine.kernel, machine.compiler, results.rounds,
    );
    for case in &results.cases {
        table(&mut text, case)?;
    }
    idle(&mut text, &results.idle)?;
    Ok(text)
}

fn table(text: &mut String, case: &CaseResult) -> fmt::Result {
    writeln!(text, "\n## {}\n", case.title)?;
    writeln!(text, "`{}`\n", case.name)?;
    writeln!(
        text,
        "| | median | 90 % | 99 % of requests | thousands per second | ratio | 90 % | CPU s / million | waits |"
    )?;
    writeln!(text, "|---|--:|--:|--:|--:|--:|--:|--:|--:|")?;
    let reference = reference(case);
    for contender in &case.contenders {
        let name = &contender.name;
        if let Some(why) = &contender.skipped {
            writeln!(text, "| {name} | skipped: {why} | | | | | | | |")?;
            continue;
        }
        let times = &contender.microseconds;
        let ratios: Vec<f64> = times
            .iter()
            .zip(&reference)
            .map(|(it, of)| it / of)
            .collect();
        let [median, high] = [50, 90].map(|percent| percentile(times, percent));
        let [ratio, high_ratio] = [50, 90].map(|percent| percentile(&ratios, percent));
        let tail = match contender.microseconds_99[..] {
            [] => String::new(),
            _ => format!("{:.1}", percentile(&contender.microseconds_99, 50)),
        };
        let cpu = percentile(&contender.cpu_seconds_per_million, 50);
        let (rate, waits) = (1e3 / median, percentile(&contender.waits, 50));
        writeln!(
            text,
            "| {name} | {median:.2} | {high:.2} | {tail} | {rate:.1} | {ratio:.3} | {high_ratio:.3} | {cpu:.2} | {waits:.2} |"
        )?;
    }
    Ok(())
}

/// Returns the times of the echo that is quicker in the median, or those of the first contender
/// that takes part.
fn reference(case: &CaseResult) -> Vec<f64> {
    let here = || case.contenders.iter().filter(|one| one.skipped.is_none());
    let median = |one: &&ContenderResult| percentile(&one.microseconds, 50);
    let echoes = here().filter(|one| one.name.contains("echo"));
    let quickest = echoes.min_by(|one, other| median(one).total_cmp(&median(other)));
    let chosen = quickest.or_else(|| here().next());
    chosen
        .map(|one| one.microseconds.clone())
        .unwrap_or_default()
}

fn idle(text: &mut String, all: &[Idle]) -> fmt::Result {
    if all.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "\n## Idle links\n\nResident bytes of the hub for each, without the kernel's. Then the CPU time of the hub while nothing happens but the pings of either end.\n"
    )?;
    writeln!(text, "| links | bytes each | CPU time, ms a second |")?;
    writeln!(text, "|--:|--:|--:|")?;
    for one in all {
        match &one.skipped {
            Some(why) => writeln!(text, "| {} | skipped: {why} | |", one.links)?,
            None => writeln!(
                text,
                "| {} | {} | {:.2} |",
                one.links, one.bytes, one.milliseconds
            )?,
        }
    }
    Ok(())
}

/// Returns the smallest of which at least so many hundredths are not larger.
fn percentile(all: &[f64], percent: usize) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    let nth = (all.len() * percent).div_ceil(100);
    all.get(nth.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}
