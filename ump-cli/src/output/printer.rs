//! A thread that writes lines. So a reader that is slow or stopped never keeps a link from
//! answering its peer.

use std::{
    io::{self, Write},
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, JoinHandle},
};

use super::write_error;
use crate::exit::Error;

/// Writes lines to the standard output in a thread. Each line has an attachment, which comes back
/// when the line is written.
///
/// The queue has no bound of its own: the credit of subscriptions returns with the lines.
#[derive(Debug)]
pub(crate) struct Printer<A> {
    lines: Sender<(String, A)>,
    thread: JoinHandle<Result<(), Error>>,
}

/// What became of lines.
#[derive(Debug)]
pub(crate) enum Written<A> {
    /// Lines with these attachments were written.
    Lines(Vec<A>),
    /// Nothing can be written any more.
    Failed,
}

impl<A: Send + 'static> Printer<A> {
    /// Starts the thread. It calls `report` for what it has written.
    pub(crate) fn start(report: impl Fn(Written<A>) + Send + 'static) -> Result<Self, Error> {
        let (lines, queue) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(move || {
                let written = write_lines(&queue, &report);
                if written.is_err() {
                    report(Written::Failed);
                }
                written
            })
            .map_err(|error| Error::usage(format!("cannot start a thread: {error}")))?;
        Ok(Self { lines, thread })
    }

    /// Queues a line.
    pub(crate) fn line(&self, line: String, attachment: A) {
        // If the thread has ended, its error comes with `finish`.
        let _ = self.lines.send((line, attachment));
    }

    /// Waits until all lines are written.
    pub(crate) fn finish(self) -> Result<(), Error> {
        drop(self.lines);
        self.thread.join().unwrap_or(Ok(()))
    }
}

fn write_lines<A>(
    queue: &Receiver<(String, A)>,
    report: &impl Fn(Written<A>),
) -> Result<(), Error> {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    while let Ok(first) = queue.recv() {
        let mut attachments = Vec::new();
        for (line, attachment) in std::iter::once(first).chain(queue.try_iter().take(255)) {
            writeln!(stdout, "{line}").map_err(|error| write_error(&error))?;
            attachments.push(attachment);
        }
        stdout.flush().map_err(|error| write_error(&error))?;
        report(Written::Lines(attachments));
    }
    Ok(())
}
