//! The control plane of a small router: four components, each with its own loop, fed from a file of
//! route updates.
//!
//! [`plane`] shows the components. This file starts them, reads the file, executes commands and
//! prints the summary.

mod args;
mod console;
mod feed;
mod line;
mod neighbours;
mod path;
mod plane;
mod shards;
mod statistics;
mod summary;
mod table;
mod time;

use std::{
    fmt::Display,
    io::{self, BufRead, IsTerminal},
    process::ExitCode,
    sync::mpsc,
    thread,
};

use cli::{log, print};
use ump_server::{TestClock, ump::RequestError};

use crate::{
    args::Args,
    console::ConsoleClient,
    feed::{Feed, Lines, SAMPLE_NAME},
    plane::{Plane, Settings},
    summary::Summary,
    time::{TimeMode, Timeline},
};

fn main() -> ExitCode {
    cli::run_with_args(run)
}

/// Returns whether each line was processed or counted as an error.
fn run(args: &Args) -> Result<bool, String> {
    let mode = match args.real_time {
        None => TimeMode::Virtual(TestClock::new()),
        Some(speed) => TimeMode::Real(speed),
    };
    let plane = Plane::start(&Settings {
        shards: args.shards,
        hold: args.hold,
        mode: mode.clone(),
    })
    .map_err(|e| e.to_string())?;
    let name = if let Some(file) = &args.file {
        file.display().to_string()
    } else {
        log!("control-plane: without a file it reads the sample, {SAMPLE_NAME}");
        SAMPLE_NAME.to_owned()
    };
    let feed = Feed::open(
        args.file.as_deref(),
        Timeline::new(&mode),
        plane.neighbours.clone(),
        plane.routes.clone(),
    )
    .map_err(|e| format!("cannot open {name}: {e}"))?;

    let (lines, timeline) = read_and_execute(feed, args, &name, &plane.console)?;
    let summary = summarize(plane, lines, &timeline)?;
    print(summary.to_string())?;
    if !lines.is_complete {
        log!("control-plane: ended before the end of the file");
    }
    Ok(lines.is_complete && lines.read == lines.processed + lines.errors + lines.blank)
}

/// Reads the file and, with `--console`, executes commands: at the same time if time is real.
fn read_and_execute(
    feed: Feed,
    args: &Args,
    name: &str,
    console: &ConsoleClient,
) -> Result<(Lines, Timeline), String> {
    let (go_on, stop) = mpsc::channel();
    let reader = thread::spawn(move || feed.run(&stop));
    let read = || {
        let panics = |panic| std::panic::resume_unwind(panic);
        let read = reader.join().unwrap_or_else(panics);
        read.map_err(|e| format!("{name}: {e}"))
    };
    if args.console && args.real_time.is_some() {
        execute_commands(console)?;
        drop(go_on);
        return read();
    }
    let read = read()?;
    if args.console {
        execute_commands(console)?;
    }
    Ok(read)
}

/// Executes commands from the standard input, until its end or `quit`.
fn execute_commands(console: &ConsoleClient) -> Result<(), String> {
    let is_terminal = io::stdin().is_terminal();
    let prompt = || {
        if is_terminal { print("> ") } else { Ok(()) }
    };
    prompt()?;
    for command in io::stdin().lock().lines() {
        let command = command.map_err(|e| format!("cannot read the standard input: {e}"))?;
        match command.trim() {
            "quit" => return Ok(()),
            "" => {}
            command => match console.execute(command.to_owned()).wait() {
                Ok(answer) => print(format!("{answer}\n"))?,
                Err(RequestError::App(error)) => print(format!("error: {error}\n"))?,
                Err(error) => return Err(format!("the console has ended: {error}")),
            },
        }
        prompt()?;
    }
    Ok(())
}

/// Requests the figures in the direction of the data flow, so that each includes the effects of
/// those before.
fn summarize(plane: Plane, lines: Lines, timeline: &Timeline) -> Result<Summary, String> {
    let gone = |e: &dyn Display| format!("cannot make the summary: {e}");
    let statuses = plane.neighbours.show().wait().map_err(|e| gone(&e))?;
    let count = plane.routes.count().map_err(|e| gone(&e))?;
    let report = plane.statistics.report().wait().map_err(|e| gone(&e))?;
    let busiest = report.busiest.map(|minute| timeline.of(minute.end));
    let components = plane.system.status();
    let ended = plane.stop();
    if !ended.is_clean() {
        return Err(format!("not all components ended cleanly: {ended}"));
    }
    Ok(Summary {
        lines,
        passed: timeline.passed(),
        statuses,
        count,
        report,
        busiest,
        components,
    })
}
