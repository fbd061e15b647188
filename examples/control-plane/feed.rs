//! Reads the file and processes each line at its time.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    sync::mpsc::Receiver,
};

use thiserror::Error;
use ump_server::ump::RequestError;

use crate::{
    line::{Event, Line, LineError},
    neighbours::{NeighboursClient, NeighboursReceive, Rejection},
    shards::{self, Shards},
    table::TableLookup,
    time::{TimeError, Timeline},
};

/// The default input, part of the program.
const SAMPLE: &[u8] = include_bytes!("updates.txt");
pub(crate) const SAMPLE_NAME: &str = "examples/control-plane/updates.txt";

/// The longest line, in bytes.
const MAX_LINE: usize = 64 * 1024;

/// The number of lines, by outcome.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lines {
    pub(crate) read: u64,
    pub(crate) processed: u64,
    pub(crate) errors: u64,
    /// Blank lines and comments.
    pub(crate) blank: u64,
    pub(crate) is_complete: bool,
}

/// Why a line is faulty. The fault is reported and counted, and the next line is read.
#[derive(Debug, Error)]
enum Fault {
    #[error(transparent)]
    Line(LineError),
    #[error(transparent)]
    Time(TimeError),
    #[error(transparent)]
    Rejected(Rejection),
}

/// Why reading ends early.
#[derive(Debug, Error)]
pub(crate) enum FeedError {
    #[error("cannot read on: {0}")]
    Io(io::Error),
    #[error("neighbours: {0}")]
    Neighbours(RequestError<NeighboursReceive, Rejection>),
    #[error("routes: {0}")]
    Routes(shards::Error<TableLookup>),
}

/// The outcome of a line.
enum Outcome {
    Done,
    Fault(Fault),
    Stopped,
}

/// Where the updates come from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    File(&'a Path),
    Sample,
    Nothing,
}

pub(crate) struct Feed {
    reader: Box<dyn BufRead + Send>,
    name: String,
    timeline: Timeline,
    lines: Lines,
    neighbours: NeighboursClient,
    routes: Shards,
}

impl Feed {
    pub(crate) fn open(
        source: Source<'_>,
        timeline: Timeline,
        neighbours: NeighboursClient,
        routes: Shards,
    ) -> io::Result<Self> {
        let (reader, name): (Box<dyn BufRead + Send>, _) = match source {
            Source::File(path) => {
                let file = BufReader::new(File::open(path)?);
                (Box::new(file), path.display().to_string())
            }
            Source::Sample => (Box::new(SAMPLE), SAMPLE_NAME.to_owned()),
            Source::Nothing => (Box::new(io::empty()), String::new()),
        };
        Ok(Self {
            reader,
            name,
            timeline,
            lines: Lines::default(),
            neighbours,
            routes,
        })
    }

    /// Processes the file to its end, or until the sender of `stop` is dropped.
    pub(crate) fn run(mut self, stop: &Receiver<()>) -> Result<(Lines, Timeline), FeedError> {
        while let Some(text) = self.next_line().map_err(FeedError::Io)? {
            self.lines.read += 1;
            let text = match &text {
                Ok(text) if text.is_empty() || text.starts_with('#') => {
                    self.lines.blank += 1;
                    continue;
                }
                Ok(text) => text.parse::<Line>(),
                Err(error) => Err(error.clone()),
            };
            let outcome = match text {
                Ok(line) => self.process(line, stop)?,
                Err(error) => Outcome::Fault(Fault::Line(error)),
            };
            match outcome {
                Outcome::Done => self.lines.processed += 1,
                Outcome::Fault(fault) => {
                    self.lines.errors += 1;
                    cli::log!("{}:{}: {fault}", self.name, self.lines.read);
                }
                Outcome::Stopped => return Ok((self.lines, self.timeline)),
            }
        }
        // The next requests may be urgent and must not overtake the effects of the file.
        self.timeline.settle();
        self.lines.is_complete = true;
        Ok((self.lines, self.timeline))
    }

    fn process(&mut self, line: Line, stop: &Receiver<()>) -> Result<Outcome, FeedError> {
        match self.timeline.go_to(line.at, stop) {
            Ok(true) => {}
            Ok(false) => return Ok(Outcome::Stopped),
            Err(error) => return Ok(Outcome::Fault(Fault::Time(error))),
        }
        match line.event {
            Event::Message(peer, message) => match self.neighbours.receive(peer, message).wait() {
                Ok(()) => {}
                Err(RequestError::App(rejection)) => {
                    return Ok(Outcome::Fault(Fault::Rejected(rejection)));
                }
                Err(error) => return Err(FeedError::Neighbours(error)),
            },
            Event::Lookup(address) => {
                self.routes.lookup(address).map_err(FeedError::Routes)?;
            }
        }
        Ok(Outcome::Done)
    }

    /// Reads a line without its line end. A line that is too long is skipped.
    fn next_line(&mut self) -> io::Result<Option<Result<String, LineError>>> {
        let mut bytes = Vec::new();
        let limit = MAX_LINE as u64 + 1;
        if (&mut self.reader)
            .take(limit)
            .read_until(b'\n', &mut bytes)?
            == 0
        {
            return Ok(None);
        }
        if bytes.len() > MAX_LINE && !bytes.ends_with(b"\n") {
            self.reader.skip_until(b'\n')?;
            return Ok(Some(Err(LineError::TooLong { limit: MAX_LINE })));
        }
        let text = String::from_utf8(bytes).map_err(|_| LineError::NotUtf8);
        Ok(Some(text.map(|text| text.trim().to_owned())))
    }
}
