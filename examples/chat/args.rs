//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// A chat in one process: rooms and users are topics, `<room>/<user>`.
///
/// Without arguments it runs a demo script. It exits with code 0 if all commands succeeded; a script
/// stops at the first command that fails.
#[derive(Debug, Parser)]
#[command(name = "chat")]
pub(crate) struct Args {
    /// Run the commands in a file, line by line
    #[arg(long, value_name = "FILE", conflicts_with = "interactive")]
    pub(crate) script: Option<PathBuf>,
    /// Run the commands from the standard input; /help lists them
    #[arg(long)]
    pub(crate) interactive: bool,
}
