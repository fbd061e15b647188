//! Standard error, or any other writer.

use std::{
    fmt,
    io::{self, Write},
};

use super::{Sink, pending::Pending};
use crate::{format::Format, record::Record};

pub(crate) struct Stream {
    pub(crate) writer: Box<dyn Write + Send>,
    pub(crate) format: Format,
    /// What was written is not yet flushed: a flush failed.
    pub(crate) unflushed: bool,
}

impl Stream {
    pub(crate) fn new(writer: Box<dyn Write + Send>, format: Format) -> Self {
        let unflushed = false;
        Self {
            writer,
            format,
            unflushed,
        }
    }
}

impl Sink for Stream {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        self.format.write(record, out);
    }

    fn write(&mut self, pending: &Pending) -> io::Result<usize> {
        if self.unflushed {
            self.writer.flush()?;
        }
        let count = self.writer.write(pending.rest())?;
        self.unflushed = self.writer.flush().is_err();
        Ok(count)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}
