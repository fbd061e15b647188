//! Shows the progress on the standard error output. It is written before the next measurement
//! begins.

use std::{
    io::{IsTerminal, stderr},
    time::Instant,
};

pub(crate) struct Progress {
    terminal: bool,
    start: Instant,
    cases: usize,
    done: usize,
    case: String,
}

impl Progress {
    pub(crate) fn new(cases: usize) -> Self {
        Self {
            terminal: stderr().is_terminal(),
            start: Instant::now(),
            cases,
            done: 0,
            case: String::new(),
        }
    }

    /// Begins another case.
    pub(crate) fn case(&mut self, name: &str) {
        self.done += 1;
        name.clone_into(&mut self.case);
        if !self.terminal {
            cli::log(self.prefix());
            cli::flush();
        }
    }

    /// Begins another contender.
    pub(crate) fn step(&self, what: &str, contender: &str) {
        if self.terminal {
            let text = format!("{}: {what}, {contender}", self.prefix());
            cli::status(format!("\r{text:<79}"));
            cli::flush();
        }
    }

    pub(crate) fn end(&self) {
        if self.terminal {
            cli::status(format!("\r{:79}\r", ""));
        }
    }

    fn prefix(&self) -> String {
        let seconds = self.start.elapsed().as_secs();
        let (minutes, seconds) = (seconds / 60, seconds % 60);
        format!(
            "{minutes:2}:{seconds:02} {}/{} {}",
            self.done, self.cases, self.case
        )
    }
}
