//! What may fail.

use std::{fmt, io, path::PathBuf};

/// A log cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A file, or the socket of a log, cannot be opened.
    #[error("cannot open {}: {error}", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// The signal cannot be handled.
    #[error("cannot handle SIGHUP: {0}")]
    Signal(#[source] io::Error),
    /// The thread of a sink cannot be started.
    #[error("cannot start the thread of {name}: {cause}")]
    Thread {
        /// The name of the sink.
        name: String,
        /// Why not.
        cause: String,
    },
    /// The directives of the filter are wrong.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The limit of all bytes has no room for the files that are in use: it needs the size of two
    /// files, of three if old ones are compressed, and a size must be set.
    #[error("{}: all files together are limited to {cap} bytes, which needs to be at least {least}", path.display())]
    Cap {
        /// The path of the file.
        path: PathBuf,
        /// The limit.
        cap: u64,
        /// The least limit. [`u64::MAX`] if no size of a file was set.
        least: u64,
    },
    /// A number must not be zero: the size or the age of a file, the records of a tail.
    #[error("{0} must not be zero")]
    Zero(&'static str),
    /// There is a global subscriber already.
    #[error("a global subscriber is set already")]
    Subscriber,
}

/// A filter cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The directives are wrong.
    #[error("wrong filter: {0}")]
    Syntax(String),
    /// The layer is gone, and nothing is logged any more.
    #[error("the log has ended")]
    Ended,
}

/// Records are not written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlushError {
    /// The sinks that have records which are not written.
    pub sinks: Vec<Unwritten>,
}

/// A sink that has records which are not written, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unwritten {
    /// The name of the sink, as in its [status](crate::SinkStatus::name).
    pub name: String,
    /// The error of the operating system, or that the time is over.
    pub cause: String,
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("records are not written")?;
        for (n, Unwritten { name, cause }) in self.sinks.iter().enumerate() {
            write!(f, "{} {name} ({cause})", if n == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

impl std::error::Error for FlushError {}
