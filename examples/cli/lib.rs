//! The common parts of the examples: reading the command line and the commands of a console, output
//! that never blocks a program, and the signals that end one.

#[cfg(unix)]
mod admin;
mod args;
mod console;
mod output;
mod signals;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tokio::runtime;

#[cfg(unix)]
pub use crate::admin::listen_admin;
pub use crate::{
    args::duration,
    console::execute_commands,
    output::{WRITE_TIMEOUT, flush, log, print, progress, status},
    signals::Signals,
};

/// The exit code for arguments that cannot be parsed, as in clap.
const USAGE_ERROR: u8 = 2;

/// Parses the command line and runs the program, which returns whether all went well.
///
/// `--help` goes to the standard output, with exit code 0. An argument that cannot be parsed is
/// reported on the standard error, with exit code 2. An error of the program, or `false`, is exit
/// code 1.
pub fn run_with_args<A: Parser + CommandFactory>(
    program: impl FnOnce(&A) -> Result<bool, String>,
) -> ExitCode {
    let command = A::command();
    let name = command.get_name();
    match A::try_parse() {
        Ok(args) => run(name, || program(&args)),
        Err(error) if error.use_stderr() => {
            log(error.to_string().trim_end());
            flush();
            ExitCode::from(USAGE_ERROR)
        }
        Err(help) => run(name, || print(help.to_string()).map(|()| true)),
    }
}

/// Runs a program that takes no arguments. Its errors and panics become lines of the log.
pub fn run(name: &str, program: impl FnOnce() -> Result<bool, String>) -> ExitCode {
    output::log_panics();
    let _flush = output::FlushWhenDropped;
    match program() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            log!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a future on this thread, with the drivers of tokio, which the signals need.
///
/// # Errors
/// Returns the error of the future, or says that tokio cannot be started.
pub fn block_on<T>(future: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("cannot start tokio: {e}"))?;
    runtime.block_on(future)
}

/// Ends a program whose sockets are in loops, on systems other than unix.
#[cfg(not(unix))]
pub fn needs_unix(name: &str) -> ExitCode {
    run(name, || {
        Err("it needs the sockets of a unix system".to_owned())
    })
}
