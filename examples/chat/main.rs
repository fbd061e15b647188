//! A chat in one process, over topics: publish and subscribe, request and reply, wildcards on both sides.
//!
//! ```text
//!  alice says in the lobby    publish   chat/lobby/alice      heard by who listens to   lobby/*   */alice   **
//!  alice says everywhere      publish   chat/*/alice          heard by who listens to   lobby/*   kitchen/*   */alice   **
//!  who is in the lobby?       request   seat/lobby            answered by the host; the others stand by
//!  alice tells bob            request   seat/lobby/bob        answered by bob's keeper
//!  alice comes, alice leaves  changes   seat/lobby/alice      told by the router, as she serves that topic or does so no more
//! ```
//!
//! This file reads lines, from a script or from the standard input.

mod args;
mod command;
mod error;
mod guests;
mod hearing;
mod house;
mod name;
mod protocol;
mod seat;
mod user;

use std::{
    env, fs,
    io::{self, BufRead, IsTerminal},
    path::Path,
    process::ExitCode,
};

use output::{log, say};

use crate::{args::Args, command::Command, error::ChatError, house::House};

const DEMO: &str = include_str!("demo.txt");

fn main() -> ExitCode {
    output::run("chat", run)
}

/// Returns whether all lines were obeyed.
fn run() -> Result<bool, String> {
    match Args::parse(env::args_os().skip(1))? {
        None => say(args::HELP).map(|()| true),
        Some(Args::Demo) => obey_script("the demo", DEMO).map(|()| true),
        Some(Args::Script(file)) => {
            let name = file.display().to_string();
            obey_script(&name, &read(&file)?).map(|()| true)
        }
        Some(Args::Interactive) => obey_input(),
    }
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|e| format!("cannot read {}: {e}", file.display()))
}

/// Prints each line with what came of it, up to the first that cannot be obeyed.
fn obey_script(name: &str, script: &str) -> Result<(), String> {
    let mut house = House::default();
    for (number, line) in (1..).zip(script.lines()) {
        say(format!("{}{line}\n", prompt(&house, line)))?;
        match obey(&mut house, line) {
            Ok(Some(text)) => say(text)?,
            Ok(None) => break,
            Err(error) => return Err(format!("{name}, line {number}: {error}")),
        }
    }
    Ok(())
}

/// Obeys what is read until its end; says what cannot be obeyed, and goes on.
fn obey_input() -> Result<bool, String> {
    let mut house = House::default();
    let is_terminal = io::stdin().is_terminal();
    let mut lines = io::stdin().lock().lines();
    let mut all_obeyed = true;
    loop {
        if is_terminal {
            say(prompt(&house, "/"))?;
        }
        let Some(line) = lines.next() else {
            return Ok(all_obeyed);
        };
        let line = line.map_err(|e| format!("cannot read the standard input: {e}"))?;
        match obey(&mut house, &line) {
            Ok(Some(text)) => say(text)?,
            Ok(None) => return Ok(all_obeyed),
            Err(error) => {
                log!("error: {error}");
                all_obeyed = false;
            }
        }
    }
}

/// What came of a line; `None` if it is the end. An empty one, and a comment, do nothing.
fn obey(house: &mut House, line: &str) -> Result<Option<String>, ChatError> {
    let line = line.trim();
    if is_comment(line) {
        return Ok(Some(String::new()));
    }
    match line.parse()? {
        Command::Quit => Ok(None),
        command => house.obey(command).map(Some),
    }
}

fn is_comment(line: &str) -> bool {
    line.is_empty() || line.starts_with('#')
}

/// What stands before a line: who acts.
fn prompt(house: &House, line: &str) -> String {
    match house.actor() {
        _ if is_comment(line.trim()) => String::new(),
        Some(name) => format!("{name}> "),
        None => "> ".to_owned(),
    }
}
