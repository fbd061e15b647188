//! Measures links between routers in processes of their own, beside raw sockets and the nearest
//! peers: side by side, in rounds in which each has its turn.
//!
//! See `benches/links/README.md`.

mod cases;
mod children;
mod contenders;
mod echo;
mod idle;
#[path = "../../src/machine.rs"]
mod machine;
mod measure;
mod mqtt;
mod nats;
mod options;
mod peer;
mod report;
mod routers;
mod t2;

use std::process::ExitCode;

use crate::options::{HELP, Options};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((first, rest)) if first == children::CHILD => children::run(rest),
        _ => run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("link-benches: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), peer::Failed> {
    let options = Options::parse()?;
    if options.help {
        print!("{HELP}");
        return Ok(());
    }
    let cases = cases::all();
    let cases = cases.into_iter().filter(|case| options.selects(&case.name));
    if options.list {
        for case in cases {
            println!("{}: {}", case.name, case.title);
        }
        return Ok(());
    }
    let mut results = report::Results::new(&options);
    for case in cases {
        eprintln!("{}", case.title);
        results.cases.push(case.measure(&options));
    }
    if options.selects(idle::NAME) {
        eprintln!("Idle links");
        results.idle = idle::measure_all(options.quick);
    }
    let page = report::markdown(&results)?;
    println!("{page}");
    if let Some(directory) = options.directory() {
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join("links.md"), page)?;
        let data = serde_json::to_string(&results)?;
        std::fs::write(directory.join("links.json"), data + "\n")?;
        eprintln!("written to {}", directory.display());
    }
    Ok(())
}
