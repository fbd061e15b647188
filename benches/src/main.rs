//! Measures the time of requests: the physical limits, the peers and this crate, side by side in
//! one process, interleaved.
//!
//! See `benches/README.md`.

mod allocations;
mod bus;
mod cases;
mod children;
mod contenders;
mod harness;
mod idle;
mod lap;
mod loops;
mod machine;
mod message;
mod net;
mod options;
mod progress;
mod random;
mod report;
mod results;
mod router;
mod sample;
mod subject;
mod timers;
mod topics;
mod topologies;

use std::{collections::BTreeSet, error::Error, path::PathBuf, process::ExitCode, thread};

use cli::{log, print};
use serde::Serialize;

use crate::{
    cases::Case,
    machine::Machine,
    options::{HELP, Options, Subject},
    progress::Progress,
    results::{CaseResult, Idle, Results, Settings},
};

const IDLE: &str = "idle";
const ONE_CPU: &str = "one-cpu";

fn main() -> ExitCode {
    cli::run("benches", || {
        run().map(|()| true).map_err(|error| error.to_string())
    })
}

fn run() -> Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    if options.help {
        return Ok(print(HELP)?);
    }
    if options.list {
        return Ok(print(list())?);
    }
    if options.subject != Subject::Channel {
        let directory = directory(&options).expect("all of them are measured");
        let run = match options.subject {
            Subject::Timers => timers::run,
            Subject::Topics => topics::run,
            Subject::Router => router::run,
            Subject::Bus => bus::run,
            Subject::Net => net::run,
            Subject::Udp => net::run_udp,
            _ => loops::run,
        };
        return run(options.quick, options.rounds, &directory);
    }
    let settings = settings(&options);
    match options.child.as_deref() {
        None => measure_all(&options, settings),
        Some(ONE_CPU) => {
            children::use_one_cpu()?;
            let cases = selected(&options)?;
            print_json(&measure(&cases, &settings))
        }
        Some(name) => {
            if let Some(measured) = net::idle::child(name, settings.idle_seconds) {
                return measured?.map_or(Ok(()), |idle| print_json(&idle));
            }
            let (_, measure) = idle::all()
                .into_iter()
                .find(|(known, _)| known == name)
                .ok_or("no such child")?;
            print_json(&measure(settings.idle_seconds)?)
        }
    }
}

/// Prints the results for the process that has started this one.
fn print_json(result: &impl Serialize) -> Result<(), Box<dyn Error>> {
    Ok(print(serde_json::to_string(result)? + "\n")?)
}

fn settings(options: &Options) -> Settings {
    let mut settings = if options.quick {
        Settings {
            rounds: 5,
            latency_rounds: 2,
            sample_milliseconds: 15,
            idle_seconds: 2,
        }
    } else {
        Settings {
            rounds: 11,
            latency_rounds: 3,
            sample_milliseconds: 100,
            idle_seconds: 10,
        }
    };
    settings.rounds = options.rounds.unwrap_or(settings.rounds);
    settings
}

fn measure_all(options: &Options, settings: Settings) -> Result<(), Box<dyn Error>> {
    let cases = selected(options)?;
    let (on_one_cpu, here): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.one_cpu);
    let mut measured = measure(here, &settings);
    if !on_one_cpu.is_empty() && cfg!(target_os = "linux") {
        let names: Vec<&str> = on_one_cpu.iter().map(|case| case.name.as_str()).collect();
        measured.extend(children::run::<Vec<CaseResult>>(
            &options.for_child(ONE_CPU, &names),
        )?);
    } else if !on_one_cpu.is_empty() {
        log!("only Linux can pin a process to a CPU: the cases of one CPU are left out");
    }
    measured.sort_by_key(|result| cases.iter().position(|case| case.name == result.name));
    let idle = if is_idle_selected(options) {
        measure_idle(options)?
    } else {
        Vec::new()
    };
    let results = Results {
        machine: Machine::this(),
        settings,
        cases: measured,
        idle,
    };
    print(report::markdown(&results) + "\n")?;
    let Some(directory) = directory(options) else {
        return Ok(());
    };
    report::write(&results, &directory)?;
    log!("written to {}", directory.display());
    Ok(())
}

fn measure<'a>(cases: impl IntoIterator<Item = &'a Case>, settings: &Settings) -> Vec<CaseResult> {
    // What its documentation asks for, once; it looks how many CPUs there are.
    crossfire::detect_backoff_cfg();
    let cases: Vec<&Case> = cases.into_iter().collect();
    let mut progress = Progress::new(cases.len());
    let measured = cases
        .iter()
        .map(|case| harness::measure(case, settings, &mut progress))
        .collect();
    progress.end();
    measured
}

/// Measures each in a process of its own, all at the same time, because they are idle.
fn measure_idle(options: &Options) -> Result<Vec<Idle>, Box<dyn Error>> {
    if !cfg!(target_os = "linux") {
        log!("context switches are only read on Linux: the case {IDLE} is left out");
        return Ok(Vec::new());
    }
    log!("{IDLE}");
    let start = |name: String| {
        let args = options.for_child(&name, &[]);
        thread::spawn(move || children::run(&args))
    };
    let is_selected = |name: &String| name == "ump" || is_named(name, &options.contenders);
    let names = idle::all()
        .into_iter()
        .map(|(name, _)| name)
        .filter(is_selected);
    let running: Vec<_> = names.map(start).collect();
    let wait = |child: thread::JoinHandle<_>| Ok(child.join().expect("it only waits")?);
    running.into_iter().map(wait).collect()
}

/// Returns the directory of the results. Incomplete results go only where `--out` says.
fn directory(options: &Options) -> Option<PathBuf> {
    let complete = options.subject != Subject::Channel
        || options.cases.is_empty() && options.contenders.is_empty();
    let results = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/results"));
    let usual = if options.quick {
        results.join("quick")
    } else {
        results
    };
    options.out.clone().or(complete.then_some(usual))
}

/// Returns the chosen cases with the chosen contenders.
fn selected(options: &Options) -> Result<Vec<Case>, Box<dyn Error>> {
    let mut cases = cases::all();
    for prefix in &options.cases {
        if !cases.iter().any(|case| case.name.starts_with(prefix)) && !IDLE.starts_with(prefix) {
            return Err(format!("no case begins with {prefix:?}.\n{}", list()).into());
        }
    }
    for name in &options.contenders {
        if !contenders(&cases).contains(name) {
            return Err(format!("there is no contender {name:?}.\n{}", list()).into());
        }
    }
    if !options.cases.is_empty() {
        let names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
        let asked_for = |name: &String, asked: &String| {
            if names.contains(asked) {
                name == asked
            } else {
                name.starts_with(asked)
            }
        };
        cases.retain(|case| {
            options
                .cases
                .iter()
                .any(|asked| asked_for(&case.name, asked))
        });
    }
    if !options.contenders.is_empty() {
        for case in &mut cases {
            case.keep_only(&options.contenders);
        }
        cases.retain(|case| !case.entries.is_empty());
    }
    Ok(cases)
}

fn is_idle_selected(options: &Options) -> bool {
    options.cases.is_empty() || options.cases.iter().any(|prefix| IDLE.starts_with(prefix))
}

fn is_named(name: &String, names: &[String]) -> bool {
    names.is_empty() || names.contains(name)
}

fn contenders(cases: &[Case]) -> BTreeSet<String> {
    cases
        .iter()
        .flat_map(|case| &case.entries)
        .map(|entry| entry.name.clone())
        .collect()
}

fn list() -> String {
    let cases = cases::all();
    let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    names.push(IDLE);
    let contenders = Vec::from_iter(contenders(&cases));
    format!(
        "Cases:\n  {}\nContenders:\n  {}\n",
        names.join("\n  "),
        contenders.join("\n  ")
    )
}
