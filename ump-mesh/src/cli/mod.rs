//! The program `ump-mesh`: what there is in a mesh, and why not. It is part of the library for the
//! keys of the mesh.

mod args;
mod doctor;
mod exit;
mod list;
mod observer;
mod output;
mod seen;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::exit::Error;

/// Looks at a mesh of routers. It is also `ump mesh`.
#[derive(Debug, Parser)]
#[command(name = "ump-mesh", version, after_help = exit::HELP, arg_required_else_help = true)]
struct Cli {
    /// Writes results as JSON, one object a line, and errors as JSON on the standard error
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the participants, with what they subscribe to and serve
    Ls(list::Options),
    /// Checks step by step whether participants are found, and says what to do
    Doctor(doctor::Options),
}

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { json, command } = Cli::parse();
    let ended = match command {
        Command::Ls(options) => list::run(&options, json),
        Command::Doctor(options) => doctor::run(&options, json),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error, json),
    }
}

fn report(error: &Error, is_json: bool) -> ExitCode {
    if !error.text.is_empty() {
        output::report_error(error, is_json);
    }
    error.exit.into()
}
