//! The command line.

use std::path::PathBuf;

use clap::Parser;
#[cfg(unix)]
use {clap::ArgGroup, ump_router::link::sockets::Address};

#[cfg(unix)]
use crate::name::Name;

const AFTER_HELP: &str = "\
Without arguments it runs a demo script. It exits with code 0 if all commands succeeded;
a script stops at the first command that fails.

Between terminals, each a process; an address is unix:PATH or tcp:127.0.0.1:PORT:
  chat --host unix:chat.sock --as alice    in the first terminal
  chat --on unix:chat.sock --as bob        in the other ones";

/// A chat over topics: rooms and users are topics, `<room>/<user>`.
#[derive(Debug, Parser)]
#[command(name = "chat", after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Run the commands in a file, line by line
    #[arg(long, value_name = "FILE", conflicts_with = "interactive")]
    pub(crate) script: Option<PathBuf>,
    /// Run the commands from the standard input; /help lists them
    #[arg(long)]
    pub(crate) interactive: bool,
    #[cfg(unix)]
    #[command(flatten)]
    pub(crate) terminal: Terminal,
}

/// A chat with other terminals.
#[cfg(unix)]
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("place").args(["host", "on"]).conflicts_with_all(["script", "interactive"]))]
pub(crate) struct Terminal {
    /// Chat with other terminals, which reach this one at this address
    #[arg(long, value_name = "ADDRESS", requires = "name")]
    pub(crate) host: Option<Address>,
    /// Chat with other terminals, through the host or hub at this address
    #[arg(long, value_name = "ADDRESS", requires = "name")]
    pub(crate) on: Option<Address>,
    /// Your name for the other terminals
    #[arg(id = "name", long = "as", value_name = "NAME", requires = "place")]
    pub(crate) name: Option<Name>,
    /// The room to begin in [default: lobby]
    #[arg(long, value_name = "NAME", requires = "place")]
    pub(crate) room: Option<Name>,
}
