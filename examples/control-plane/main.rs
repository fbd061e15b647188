//! The control plane of a small router: components, each with its own loop, fed from a file of
//! route updates, and by real neighbours over BGP.
//!
//! [`plane`] shows the components. This file starts them, reads the file, executes commands and
//! prints the summary.

mod args;
mod bgp;
mod console;
mod feed;
mod igp;
mod interfaces;
mod line;
mod neighbours;
mod path;
mod plane;
mod shards;
mod speaker;
mod statistics;
mod summary;
mod table;
mod time;
mod traffic;

use std::{fmt::Display, process::ExitCode, sync::mpsc, thread};

use cli::{Signals, log, print};
use ump_server::{TestClock, ump::RequestError};

use crate::{
    args::Args,
    console::ConsoleClient,
    feed::{Feed, Lines, SAMPLE_NAME, Source},
    plane::{Plane, Settings},
    summary::Summary,
    time::{TimeMode, Timeline},
};

fn main() -> ExitCode {
    cli::run_with_args(run)
}

/// Returns whether each line was processed or counted as an error.
fn run(args: &Args) -> Result<bool, String> {
    let sessions = args.sessions()?;
    let has_neighbours = !sessions.is_empty();
    let mode = match args.real_time {
        None if has_neighbours => TimeMode::Real(1),
        None => TimeMode::Virtual(TestClock::new()),
        Some(speed) => TimeMode::Real(speed),
    };
    // The sessions begin with the plane.
    let ends = has_neighbours.then(Ends::catch_signals);
    let plane = Plane::start(&Settings {
        shards: args.shards,
        hold: args.hold,
        mode: mode.clone(),
        sessions,
        listen: args.listen.clone(),
        topology: args.topology.clone(),
        connected: interfaces::connected(args.connected)?,
    })
    .map_err(|e| e.to_string())?;
    #[cfg(unix)]
    let admin = args.admin.as_ref().map(|address| {
        let admin = ump_admin::Admin::new().system(&plane.system);
        cli::listen_admin("control-plane", admin, address)
    });
    #[cfg(unix)]
    let _admin = admin.transpose()?;
    let name = if let Some(file) = &args.file {
        file.display().to_string()
    } else if has_neighbours {
        "the empty file".to_owned()
    } else {
        log!("control-plane: without a file it reads the sample, {SAMPLE_NAME}");
        SAMPLE_NAME.to_owned()
    };
    let source = match &args.file {
        Some(file) => Source::File(file),
        None if has_neighbours => Source::Nothing,
        None => Source::Sample,
    };
    let feed = Feed::open(
        source,
        Timeline::new(&mode),
        plane.neighbours.clone(),
        plane.routes.clone(),
    )
    .map_err(|e| format!("cannot open {name}: {e}"))?;

    let (lines, timeline) = if let Some(ends) = ends {
        run_with_neighbours(feed, ends, args.console, &name, &plane.console)?
    } else {
        read_and_execute(feed, args, &name, &plane.console)?
    };
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

/// Reads the file, and runs until a signal, or with a console until its end or `quit`. The rest of
/// the file is left out then.
fn run_with_neighbours(
    feed: Feed,
    ends: Ends,
    has_console: bool,
    name: &str,
    console: &ConsoleClient,
) -> Result<(Lines, Timeline), String> {
    let (go_on, stop) = mpsc::channel();
    let reader = thread::spawn(move || feed.run(&stop));
    let Ends { end, ends } = ends;
    if has_console {
        let console = console.clone();
        thread::spawn(move || drop(end.send(execute_commands(&console))));
    }
    let ended = ends.recv();
    drop(go_on);
    let read = reader
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    ended.map_err(|e| e.to_string())??;
    read.map_err(|e| format!("{name}: {e}"))
}

/// The first end of a run with neighbours: a signal, or the end of the console.
struct Ends {
    end: mpsc::Sender<Result<(), String>>,
    ends: mpsc::Receiver<Result<(), String>>,
}

impl Ends {
    /// Catches Ctrl-C and SIGTERM from its return on.
    fn catch_signals() -> Self {
        let (end, ends) = mpsc::channel();
        let (catching, caught) = mpsc::channel::<()>();
        let on_signal = end.clone();
        thread::spawn(move || {
            let signal = cli::block_on(async {
                let mut signals = Signals::new()?;
                drop(catching);
                signals.next().await;
                Ok(())
            });
            drop(on_signal.send(signal));
        });
        // Either they are caught, or why they are not is in `ends`: both drop the sender.
        let _ = caught.recv();
        Self { end, ends }
    }
}

/// Executes commands from the standard input, until its end or `quit`.
fn execute_commands(console: &ConsoleClient) -> Result<(), String> {
    cli::execute_commands(|command| match console.execute(command).wait() {
        Ok(answer) => Ok(answer),
        Err(RequestError::App(error)) => Ok(format!("error: {error}")),
        Err(error) => Err(format!("the console has ended: {error}")),
    })
}

/// Requests the figures in the direction of the data flow, so that each includes the effects of
/// those before.
fn summarize(plane: Plane, lines: Lines, timeline: &Timeline) -> Result<Summary, String> {
    let gone = |e: &dyn Display| format!("cannot make the summary: {e}");
    let statuses = plane.neighbours.show().wait().map_err(|e| gone(&e))?;
    let sessions = match &plane.speaker {
        Some(speaker) => speaker.show().wait().map_err(|e| gone(&e))?,
        None => Vec::new(),
    };
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
        sessions,
        count,
        report,
        busiest,
        components,
    })
}
