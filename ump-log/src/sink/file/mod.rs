//! A file, which is rotated by size and by age.
//!
//! Before a record that has no room, or that begins a new period, the file gets another name, with
//! the time and a number, and a new one is begun. Then old files are deleted until the rest is
//! within the limit, and another thread compresses them.

pub(crate) mod compress;
pub(crate) mod hangup;
pub(crate) mod rotated;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use self::{hangup::Hangup, rotated::Series};
use super::{Sink, pending::Pending};
use crate::{format::Format, record::Record, time::micros};

/// What a file is, and when it is rotated.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
    pub(crate) mode: u32,
    /// The most bytes of a file.
    pub(crate) size: u64,
    /// The length of a period, in microseconds since 1970.
    pub(crate) period: u64,
    /// The most bytes of all files.
    pub(crate) cap: Option<u64>,
    pub(crate) compresses: bool,
}

impl Plan {
    pub(crate) fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).append(true).read(true).mode(self.mode);
        options.open(&self.path)
    }

    /// Returns how many bytes the rotated files may have together: so many that the current file,
    /// and a compressed copy that is being made, may grow to their size.
    fn room_of_rotated(&self) -> Option<u64> {
        let copies = 1 + u64::from(self.compresses);
        self.cap
            .map(|cap| cap.saturating_sub(self.size.saturating_mul(copies)))
    }
}

pub(crate) struct LogFile {
    plan: Plan,
    series: Series,
    file: Option<File>,
    length: u64,
    /// The end of the period of the file, in microseconds since 1970.
    until: u64,
    hangup: Option<Hangup>,
    /// Called after each rotation.
    rotated: Box<dyn Fn() + Send>,
}

impl LogFile {
    /// Opens the file.
    pub(crate) fn open(
        plan: Plan,
        hangup: Option<Hangup>,
        rotated: Box<dyn Fn() + Send>,
    ) -> io::Result<Self> {
        let series = Series::new(&plan.path);
        let mut this = Self {
            plan,
            series,
            file: None,
            length: 0,
            until: 0,
            hangup,
            rotated,
        };
        this.delete_oldest()?; // the limit may be lower than that of an earlier run
        this.reopen()?;
        Ok(this)
    }

    fn end_of_period(&self, micros: u64) -> u64 {
        (micros / self.plan.period)
            .saturating_add(1)
            .saturating_mul(self.plan.period)
    }

    fn delete_oldest(&self) -> io::Result<()> {
        let room = self.plan.room_of_rotated();
        room.map_or(Ok(()), |room| self.series.delete_oldest(room))
    }

    fn rotate(&mut self, micros: u64) -> io::Result<()> {
        let name = self.series.next_name(micros)?;
        fs::rename(&self.plan.path, name)?;
        self.file = None;
        self.delete_oldest()?;
        (self.rotated)();
        self.reopen()
    }

    /// Returns what the next write takes, from a file that has room for it.
    fn next<'a>(&mut self, pending: &'a Pending) -> io::Result<&'a [u8]> {
        if pending.is_within_record() {
            return Ok(pending.first());
        }
        if self.length == 0 {
            self.until = self.until.max(self.end_of_period(pending.time()));
        }
        let room = self.plan.size.saturating_sub(self.length);
        let whole = pending.whole(room, self.until);
        if !whole.is_empty() {
            return Ok(whole);
        }
        if self.length > 0 {
            self.rotate(pending.time())?;
            self.until = self.end_of_period(pending.time());
            let whole = pending.whole(self.plan.size, self.until);
            if !whole.is_empty() {
                return Ok(whole);
            }
        }
        // A record that is larger than a file has a file of its own.
        Ok(pending.first())
    }
}

impl Sink for LogFile {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        self.plan.format.write(record, out);
    }

    fn write(&mut self, pending: &Pending) -> io::Result<usize> {
        if self.file.is_none() {
            self.reopen()?;
        }
        let next = self.next(pending)?;
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let count = file.write(next)?;
        self.length += count as u64;
        Ok(count)
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Some(hangup) = &self.hangup {
            hangup.clear();
        }
        self.file = None;
        let mut file = self.plan.open()?;
        let metadata = file.metadata()?;
        self.length = metadata.len();
        self.until = self.end_of_period(metadata.modified().map_or(0, micros));
        if metadata.is_file() && self.length > 0 {
            // A program that was killed may have left half a record.
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            if file.read(&mut last)? == 1 && last != *b"\n" {
                self.length += file.write(b"\n")? as u64;
            }
        }
        self.file = Some(file);
        Ok(())
    }

    fn reopen_is_due(&self) -> bool {
        self.hangup.as_ref().is_some_and(Hangup::came)
    }
}
