//! The command line.

use std::path::PathBuf;

use clap::Parser;

const AFTER_HELP: &str = "\
Without arguments it runs a demo script. It exits with code 0 if all commands succeeded;
a script stops at the first command that fails.";

/// A chat in one process: rooms and users are topics, `<room>/<user>`.
#[derive(Debug, Parser)]
#[command(name = "chat", after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Run the commands in a file, line by line
    #[arg(long, value_name = "FILE", conflicts_with = "interactive")]
    pub(crate) script: Option<PathBuf>,
    /// Run the commands from the standard input; /help lists them
    #[arg(long)]
    pub(crate) interactive: bool,
}
