//! Where records go: what a sink does, and the thread that does it.

pub(crate) mod datagram;
pub(crate) mod file;
pub(crate) mod pending;
pub(crate) mod stream;
pub(crate) mod tail;
pub(crate) mod writer;

use std::io;

use self::pending::Pending;
use crate::record::Record;

/// Formats and writes records on a thread of its own.
pub(crate) trait Sink: Send + 'static {
    /// Appends a record as it will be written.
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>);

    /// Writes some of what is pending, and returns how many bytes. It may block.
    fn write(&mut self, pending: &Pending) -> io::Result<usize>;

    /// Opens again by name what it writes to. Called before a record begins, never within one.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Returns whether to [reopen](Self::reopen), by a signal.
    fn reopen_is_due(&self) -> bool {
        false
    }
}
