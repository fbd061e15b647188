#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(feature = "tls"),
    allow(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "what has nothing to do without TLS"
    )
)]

#[cfg(unix)]
mod args;
#[cfg(unix)]
mod client;
#[cfg(unix)]
mod commands;
#[cfg(unix)]
mod exit;
#[cfg(unix)]
mod output;
#[cfg(unix)]
mod payload;
#[cfg(unix)]
mod signals;

use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    use clap::Parser;

    let arguments = commands::in_place_of_option(std::env::args_os().collect());
    let cli = commands::Cli::parse_from(arguments);
    let is_json = cli.json;
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.text.is_empty() {
                output::report_error(&error, is_json);
            }
            error.exit.into()
        }
    }
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    eprintln!("ump: it needs the sockets of a unix system");
    ExitCode::from(2)
}
