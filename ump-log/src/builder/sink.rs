//! What a program says of its sinks.

use std::{
    fmt,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use tracing::level_filters::LevelFilter;

use crate::{
    error::StartError,
    format::Format,
    sink::{datagram::Protocol, file::Plan},
};

/// 8 MiB.
const QUEUE_BYTES: usize = 8 << 20;

/// Where records go. Each sink has a queue and a thread of its own, so one that hangs keeps no
/// other from writing.
///
/// If a sink cannot be written, the other sinks get a record that says so, or standard error if
/// there is no other. It is tried again after 50 ms, then after pauses that double up to two
/// seconds. Its records wait in its queue, and nothing is lost or written twice as long as there
/// is room.
#[derive(Debug)]
#[must_use = "a sink is used when it is given to a builder"]
pub struct Sink {
    pub(super) kind: Kind,
    pub(super) level: LevelFilter,
    pub(super) queue_bytes: usize,
}

pub(super) enum Kind {
    File(File),
    Stream(&'static str, Box<dyn Write + Send>, Format),
    Datagrams(PathBuf, String, Protocol),
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File",
            Self::Stream(..) => "Stream",
            Self::Datagrams(..) => "Datagrams",
        })
    }
}

impl Sink {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            level: LevelFilter::TRACE,
            queue_bytes: QUEUE_BYTES,
        }
    }

    /// Writes to standard error.
    pub fn stderr(format: Format) -> Self {
        Self::new(Kind::Stream("stderr", Box::new(std::io::stderr()), format))
    }

    /// Writes to a writer. It may block, and it gets whole records at once, up to some hundred
    /// kilobytes. It is flushed after each write, but should not buffer: if a flush fails, it is
    /// tried again before the next write only.
    pub fn writer(writer: impl Write + Send + 'static, format: Format) -> Self {
        Self::new(Kind::Stream("writer", Box::new(writer), format))
    }

    /// Sends to journald, by its own protocol. The fields of records and spans become fields of
    /// the journal: `F_` and the name in capital letters, as of `tracing-journald`. Values are cut
    /// at 32 KiB, and fields after 128 KiB are left out; `F_UMP_LOG_CUT_BYTES` says how much.
    pub fn journald(identifier: impl Into<String>) -> Self {
        Self::journald_at("/run/systemd/journal/socket", identifier)
    }

    /// Sends to journald at another socket.
    pub fn journald_at(path: impl Into<PathBuf>, identifier: impl Into<String>) -> Self {
        Self::new(Kind::Datagrams(
            path.into(),
            identifier.into(),
            Protocol::Journald,
        ))
    }

    /// Sends to the syslog daemon, at `/dev/log`. The time is the daemon's. `facility` is 0 to 23:
    /// 1 is that of users' programs, 3 that of daemons, 16 to 23 are free; a greater one is taken
    /// as 23. Records are cut at 8 KiB.
    pub fn syslog(identifier: impl Into<String>, facility: u8) -> Self {
        Self::syslog_at("/dev/log", identifier, facility)
    }

    /// Sends to a syslog daemon at another socket.
    pub fn syslog_at(
        path: impl Into<PathBuf>,
        identifier: impl Into<String>,
        facility: u8,
    ) -> Self {
        let protocol = Protocol::Syslog(facility.min(23));
        Self::new(Kind::Datagrams(path.into(), identifier.into(), protocol))
    }

    /// Writes records up to a level only. The default is all that pass the filter.
    pub fn level(mut self, level: impl Into<LevelFilter>) -> Self {
        self.level = level.into();
        self
    }

    /// Sets how many bytes of records may wait, those included that are being written. The
    /// default is 8 MiB. A record needs the bytes of its fields and about 100 more. The last
    /// quarter is for records of the levels `WARN` and `ERROR`. A record without room is dropped
    /// and counted.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }
}

/// A file, rotated by size and by age.
///
/// The files of an earlier run are continued. A rotated file is called
/// `NAME.20261130T235959Z.0000`, after the time of its rotation and a number, and then `.gz` if it
/// is compressed.
///
/// ```
/// use std::time::Duration;
/// use ump_log::{File, Format};
///
/// let file = File::new("shop.log", Format::Json)
///     .rotate_bytes(64 << 20)
///     .rotate_every(Duration::from_secs(24 * 60 * 60)) // at midnight, UTC
///     .compress()
///     .cap_bytes(1 << 30);
/// # drop(file);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a file is used when it is given to a builder"]
pub struct File(Plan);

impl File {
    /// Appends to a file, which is made if there is none, with the mode `0640`. Its folder must
    /// exist.
    pub fn new(path: impl Into<PathBuf>, format: Format) -> Self {
        Self(Plan {
            path: path.into(),
            format,
            mode: 0o640,
            size: u64::MAX,
            period: u64::MAX,
            cap: None,
            compresses: false,
        })
    }

    /// Begins another file before a record with which this one would be larger than `bytes`. Only
    /// a file of one record that is larger by itself exceeds it.
    pub fn rotate_bytes(mut self, bytes: u64) -> Self {
        self.0.size = bytes;
        self
    }

    /// Begins another file with the first record of each period: with an hour at the full hour,
    /// with 24 hours at midnight, in UTC. The time is that of the record.
    pub fn rotate_every(mut self, period: Duration) -> Self {
        self.0.period = u64::try_from(period.as_micros()).unwrap_or(u64::MAX);
        self
    }

    /// Compresses rotated files with gzip, on a thread of its own. One that another process left
    /// is compressed, too.
    pub fn compress(mut self) -> Self {
        self.0.compresses = true;
        self
    }

    /// Limits the bytes of all files together, and deletes the oldest for that. Needs
    /// [`rotate_bytes`](Self::rotate_bytes), and at least twice that; three times, if files are
    /// compressed. That much is kept free for the current file and for a copy that is being made.
    pub fn cap_bytes(mut self, bytes: u64) -> Self {
        self.0.cap = Some(bytes);
        self
    }

    /// Sets the mode with which files are made: by default `0640`, less the process's umask.
    pub fn mode(mut self, mode: u32) -> Self {
        self.0.mode = mode;
        self
    }

    pub(super) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Returns what was chosen, if it can be kept.
    pub(super) fn check(self) -> Result<Plan, StartError> {
        let plan = self.0;
        if plan.size == 0 {
            return Err(StartError::Zero("the size of a file"));
        }
        if plan.period == 0 {
            return Err(StartError::Zero("the age of a file"));
        }
        let least = plan.size.saturating_mul(2 + u64::from(plan.compresses));
        match plan.cap {
            Some(cap) if cap < least => {
                let path = plan.path;
                Err(StartError::Cap { path, cap, least })
            }
            _ => Ok(plan),
        }
    }
}

impl From<File> for Sink {
    fn from(file: File) -> Self {
        Self::new(Kind::File(file))
    }
}
