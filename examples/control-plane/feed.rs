//! Reads the file, and does at its time what each line says.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    sync::mpsc::Receiver,
};

use ump_server::ump::RequestError;

use crate::{
    line::{Event, Line, LineError},
    neighbours::{self, NeighboursClient, Refusal},
    pace::{Passage, TimeError},
    shards::{self, Shards},
};

/// What is read if no file is named: it is part of the program, so that it is there wherever the program is.
const SAMPLE: &[u8] = include_bytes!("updates.txt");
pub(crate) const SAMPLE_NAME: &str = "examples/control-plane/updates.txt";

/// In bytes.
const MAX_LINE: usize = 64 * 1024;

/// What became of the lines.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lines {
    pub(crate) read: u64,
    pub(crate) processed: u64,
    pub(crate) errors: u64,
    /// Empty ones and comments.
    pub(crate) blank: u64,
    pub(crate) is_complete: bool,
}

/// What is wrong with a line. It is reported and counted, and the next one has its turn.
#[derive(Debug)]
enum Fault {
    Line(LineError),
    Time(TimeError),
    Refused(Refusal),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(error) => error.fmt(f),
            Self::Time(error) => error.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

/// Why reading ends early.
#[derive(Debug)]
pub(crate) enum FeedError {
    Io(io::Error),
    Neighbours(RequestError<neighbours::Op, Refusal>),
    Routes(shards::Error),
}

impl fmt::Display for FeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot read on: {error}"),
            Self::Neighbours(error) => write!(f, "neighbours: {error}"),
            Self::Routes(error) => write!(f, "routes: {error}"),
        }
    }
}

/// One line's outcome: done, at fault, or there is nobody any more for whom to go on.
enum Outcome {
    Done,
    Fault(Fault),
    HungUp,
}

pub(crate) struct Feed {
    lines_of: Box<dyn BufRead + Send>,
    name: String,
    passage: Passage,
    lines: Lines,
    neighbours: NeighboursClient,
    routes: Shards,
}

impl Feed {
    pub(crate) fn open(
        path: Option<&Path>,
        passage: Passage,
        neighbours: NeighboursClient,
        routes: Shards,
    ) -> io::Result<Self> {
        let (lines_of, name): (Box<dyn BufRead + Send>, _) = match path {
            Some(path) => {
                let file = BufReader::new(File::open(path)?);
                (Box::new(file), path.display().to_string())
            }
            None => (Box::new(SAMPLE), SAMPLE_NAME.to_owned()),
        };
        Ok(Self {
            lines_of,
            name,
            passage,
            lines: Lines::default(),
            neighbours,
            routes,
        })
    }

    /// Until the end of the file, or until somebody hangs up.
    pub(crate) fn run(mut self, hung_up: &Receiver<()>) -> Result<(Lines, Passage), FeedError> {
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
                Ok(line) => self.process(line, hung_up)?,
                Err(error) => Outcome::Fault(Fault::Line(error)),
            };
            match outcome {
                Outcome::Done => self.lines.processed += 1,
                Outcome::Fault(fault) => {
                    self.lines.errors += 1;
                    output::log!("{}:{}: {fault}", self.name, self.lines.read);
                }
                Outcome::HungUp => return Ok((self.lines, self.passage)),
            }
        }
        // What is asked next may be urgent.
        self.passage.settle();
        self.lines.is_complete = true;
        Ok((self.lines, self.passage))
    }

    fn process(&mut self, line: Line, hung_up: &Receiver<()>) -> Result<Outcome, FeedError> {
        match self.passage.go_to(line.at, hung_up) {
            Ok(true) => {}
            Ok(false) => return Ok(Outcome::HungUp),
            Err(error) => return Ok(Outcome::Fault(Fault::Time(error))),
        }
        match line.event {
            Event::Message(peer, message) => {
                let op = neighbours::Op::Message(peer, message);
                match self.neighbours.request(op).wait() {
                    Ok(_) => {}
                    Err(RequestError::App(refusal)) => {
                        return Ok(Outcome::Fault(Fault::Refused(refusal)));
                    }
                    Err(error) => return Err(FeedError::Neighbours(error)),
                }
            }
            Event::Lookup(address) => {
                self.routes.lookup(address).map_err(FeedError::Routes)?;
            }
        }
        Ok(Outcome::Done)
    }

    /// Without its end. What is too long is read and thrown away.
    fn next_line(&mut self) -> io::Result<Option<Result<String, LineError>>> {
        let mut bytes = Vec::new();
        let limit = MAX_LINE as u64 + 1;
        if (&mut self.lines_of)
            .take(limit)
            .read_until(b'\n', &mut bytes)?
            == 0
        {
            return Ok(None);
        }
        if bytes.len() > MAX_LINE && !bytes.ends_with(b"\n") {
            self.lines_of.skip_until(b'\n')?;
            return Ok(Some(Err(LineError::TooLong { limit: MAX_LINE })));
        }
        let text = String::from_utf8(bytes).map_err(|_| LineError::NotUtf8);
        Ok(Some(text.map(|text| text.trim().to_owned())))
    }
}
