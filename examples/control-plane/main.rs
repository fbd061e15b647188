//! The control plane of a small router: four components, each a loop of its own, fed from a file of route updates.
//!
//! [`plane`] has the picture. This file starts them, has the file read and the commands executed, and sums up.

mod args;
mod console;
mod feed;
mod line;
mod neighbours;
mod pace;
mod path;
mod plane;
mod shards;
mod statistics;
mod summary;
mod table;

use std::{
    env,
    fmt::Display,
    io::{self, BufRead, IsTerminal},
    process::ExitCode,
    sync::mpsc,
    thread,
};

use output::{log, say};
use ump_server::{TestClock, ump::RequestError};

use crate::{
    args::Args,
    console::{Command, ConsoleClient},
    feed::{Feed, Lines, SAMPLE_NAME},
    pace::{Pace, Passage},
    plane::{Plane, Settings},
    summary::Summary,
};

fn main() -> ExitCode {
    output::run("control-plane", run)
}

/// Returns whether all of the file was processed or counted as errors.
fn run() -> Result<bool, String> {
    let Some(args) = Args::parse(env::args_os().skip(1))? else {
        return say(args::HELP).map(|()| true);
    };
    let pace = match args.real_time {
        None => Pace::Virtual(TestClock::new()),
        Some(speed) => Pace::Real(speed),
    };
    let plane = Plane::start(&Settings {
        shards: args.shards,
        hold: args.hold,
        pace: pace.clone(),
    })?;
    let name = if let Some(file) = &args.file {
        file.display().to_string()
    } else {
        log!("control-plane: no file is named: this is the sample, {SAMPLE_NAME}");
        SAMPLE_NAME.to_owned()
    };
    let feed = Feed::open(
        args.file.as_deref(),
        Passage::new(&pace),
        plane.neighbours.clone(),
        plane.routes.clone(),
    )
    .map_err(|e| format!("cannot open {name}: {e}"))?;

    let (lines, passage) = read_and_obey(feed, &args, &name, &plane.console)?;
    let summary = sum_up(plane, lines, &passage)?;
    say(summary.to_string())?;
    if !lines.is_complete {
        log!("control-plane: ended before the end of the file");
    }
    Ok(lines.is_complete && lines.read == lines.processed + lines.errors + lines.blank)
}

/// Has the file read, and commands executed if that was asked for: at the same time if time is real.
fn read_and_obey(
    feed: Feed,
    args: &Args,
    name: &str,
    console: &ConsoleClient,
) -> Result<(Lines, Passage), String> {
    let (stay, hung_up) = mpsc::channel();
    let reader = thread::spawn(move || feed.run(&hung_up));
    let read = || {
        let panics = |panic| std::panic::resume_unwind(panic);
        let read = reader.join().unwrap_or_else(panics);
        read.map_err(|e| format!("{name}: {e}"))
    };
    if args.console && args.real_time.is_some() {
        obey(console)?;
        drop(stay);
        return read();
    }
    let read = read()?;
    if args.console {
        obey(console)?;
    }
    Ok(read)
}

/// Executes commands from the standard input until its end, or until one says so.
fn obey(console: &ConsoleClient) -> Result<(), String> {
    let is_terminal = io::stdin().is_terminal();
    let prompt = || {
        if is_terminal { say("> ") } else { Ok(()) }
    };
    prompt()?;
    for command in io::stdin().lock().lines() {
        let command = command.map_err(|e| format!("cannot read the standard input: {e}"))?;
        match command.trim() {
            "quit" => return Ok(()),
            "" => {}
            command => match console.request(Command(command.to_owned())).wait() {
                Ok(answer) => say(format!("{answer}\n"))?,
                Err(RequestError::App(error)) => say(format!("error: {error}\n"))?,
                Err(error) => return Err(format!("the console is gone: {error}")),
            },
        }
        prompt()?;
    }
    Ok(())
}

/// Asks for the figures in the order in which things flow, so that each has heard of all that those before it have done.
fn sum_up(plane: Plane, lines: Lines, passage: &Passage) -> Result<Summary, String> {
    let gone = |e: &dyn Display| format!("cannot sum up: {e}");
    let standings = match plane.neighbours.request(neighbours::Op::Show).wait() {
        Ok(neighbours::Reply::Neighbours(standings)) => standings,
        Ok(neighbours::Reply::Done) => Vec::new(),
        Err(error) => return Err(gone(&error)),
    };
    let count = plane.routes.count().map_err(|e| gone(&e))?;
    let reply = plane.statistics.request(statistics::Op::Report).wait();
    let statistics::Reply::Report(report) = reply.map_err(|e| gone(&e))? else {
        return Err("cannot sum up: the statistics answer something else".to_owned());
    };
    let busiest = report.busiest.map(|minute| passage.of(minute.end));
    let components = plane.system.status();
    let ended = plane.stop();
    if !ended.is_clean() {
        return Err(format!("not all ended in order: {ended}"));
    }
    Ok(Summary {
        lines,
        passed: passage.passed(),
        standings,
        count,
        report,
        busiest,
        components,
    })
}
