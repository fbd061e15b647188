//! A chat over topics, in one process or between terminals: publish and subscribe, request and
//! reply, wildcards on both sides.
//!
//! ```text
//!  alice says it in lobby      publish   chat/lobby/alice     received by lobby/*, */alice, **
//!  alice says it everywhere    publish   chat/*/alice         received by lobby/*, kitchen/*, */alice, **
//!  who is in lobby?            request   member/lobby         the host replies; the others are standbys
//!  alice tells bob             request   member/lobby/bob     bob's handler replies
//!  alice joins, alice leaves   changes   member/lobby/alice   the router reports who serves that topic
//! ```
//!
//! This file reads commands from a script or from the standard input. With `--host` or `--on`, the
//! users are in other processes: see `terminal.rs`. Their code is the same.

mod args;
mod command;
mod error;
mod incoming;
mod members;
mod membership;
mod name;
mod protocol;
mod server;
#[cfg(unix)]
mod terminal;
mod user;

use std::{
    fs,
    io::{self, BufRead, IsTerminal},
    path::Path,
    process::ExitCode,
    task::Waker,
};

use cli::{log, print};
use ump_router::Router;

use crate::{args::Args, command::Command, error::ChatError, server::ChatServer};

const DEMO: &str = include_str!("demo.txt");

fn main() -> ExitCode {
    cli::run_with_args(run)
}

/// Returns whether all commands succeeded.
fn run(args: &Args) -> Result<bool, String> {
    #[cfg(unix)]
    if let Some(end) = terminal::run(&args.terminal) {
        return end;
    }
    match &args.script {
        Some(file) => {
            let name = file.display().to_string();
            execute_script(&name, &read(file)?).map(|()| true)
        }
        None if args.interactive => execute_input(),
        None => execute_script("the demo", DEMO).map(|()| true),
    }
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|e| format!("cannot read {}: {e}", file.display()))
}

/// Prints each line and its output, up to the first command that fails.
fn execute_script(name: &str, script: &str) -> Result<(), String> {
    let mut server = ChatServer::new(Router::new(), Waker::noop().clone());
    for (number, line) in (1..).zip(script.lines()) {
        print(format!("{}{line}\n", prompt(&server, line)))?;
        match execute(&mut server, line) {
            Ok(Some(text)) => print(text)?,
            Ok(None) => break,
            Err(error) => return Err(format!("{name}, line {number}: {error}")),
        }
    }
    Ok(())
}

/// Executes the standard input to its end. Reports commands that fail, and goes on.
fn execute_input() -> Result<bool, String> {
    let mut server = ChatServer::new(Router::new(), Waker::noop().clone());
    let is_terminal = io::stdin().is_terminal();
    let mut lines = io::stdin().lock().lines();
    let mut all_succeeded = true;
    loop {
        if is_terminal {
            print(prompt(&server, "/"))?;
        }
        let Some(line) = lines.next() else {
            return Ok(all_succeeded);
        };
        let line = line.map_err(|e| format!("cannot read the standard input: {e}"))?;
        match execute(&mut server, &line) {
            Ok(Some(text)) => print(text)?,
            Ok(None) => return Ok(all_succeeded),
            Err(error) => {
                log!("error: {error}");
                all_succeeded = false;
            }
        }
    }
}

/// Executes a line and returns its output; `None` means `/quit`. Blank lines and comments do
/// nothing.
fn execute(server: &mut ChatServer, line: &str) -> Result<Option<String>, ChatError> {
    let line = line.trim();
    if is_comment(line) {
        return Ok(Some(String::new()));
    }
    match line.parse()? {
        Command::Quit => Ok(None),
        command => server.execute(command).map(Some),
    }
}

fn is_comment(line: &str) -> bool {
    line.is_empty() || line.starts_with('#')
}

/// Returns the prompt of a line: the current user.
fn prompt(server: &ChatServer, line: &str) -> String {
    match server.current_user() {
        _ if is_comment(line.trim()) => String::new(),
        Some(name) => format!("{name}> "),
        None => "> ".to_owned(),
    }
}
