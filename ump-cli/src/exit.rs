//! How the command ends: exit codes and errors.

use std::{fmt, process::ExitCode};

use ump_router::link::session::Rejected;

/// The exit code of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The reader of the output has gone: that is no error.
    Done = 0,
    /// The server, or a handler, refused.
    Refused = 1,
    /// The arguments, the configuration or the input are not valid.
    Usage = 2,
    /// The topic has no server.
    NoServer = 3,
    /// The server or the link was lost.
    Lost = 4,
    /// The time is over.
    TimedOut = 5,
    /// The server cannot be reached, or its rules do not allow it.
    NotAllowed = 6,
}

/// The table of exit codes in the help.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  the server refused
  2  bad usage or configuration
  3  nobody serves the topic
  4  the server or the link was lost
  5  time-out
  6  cannot connect, or not allowed";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that ends the command.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) exit: Exit,
    pub(crate) text: String,
}

impl Error {
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { exit, text }
    }

    /// Ends the command without a word.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// The server cannot be reached.
    pub(crate) fn unreachable(text: impl Into<String>) -> Self {
        Self::new(Exit::NotAllowed, text)
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, text)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        let exit = match rejected {
            Rejected::NotOpen => Exit::Lost,
            _ => Exit::Refused,
        };
        Self::new(exit, rejected.to_string())
    }
}
