//! How the program ends: the exit codes of `ump`, as far as they are used.

use std::process::ExitCode;

use crate::error::MeshError;

/// The exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The reader of the output has gone: that is no error.
    Done = 0,
    /// The arguments or the configuration are not valid.
    Usage = 2,
    /// Nobody is reached.
    NotReached = 6,
}

/// The table of exit codes in the help.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  2  bad usage or configuration
  6  the network cannot be used, or nobody is reached";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that ends the program.
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

    /// Ends the program without a word.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }
}

impl From<MeshError> for Error {
    fn from(error: MeshError) -> Self {
        let exit = match error {
            MeshError::Open(_) | MeshError::Thread(_) | MeshError::Closed => Exit::NotReached,
            _ => Exit::Usage,
        };
        Self::new(exit, error.to_string())
    }
}
