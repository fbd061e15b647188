//! The last changes, for watchers that reconnect.
//!
//! Changes are numbered from one since the service started. The first part of an id is the time of
//! that start, so an id from before it is not confused with another.

use std::{
    collections::VecDeque,
    fmt,
    num::ParseIntError,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{key::Key, ttl::WallTime};

/// A change of a key.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The number of this change since the service started, from one.
    pub(crate) number: u64,
    pub(crate) key: Key,
    pub(crate) kind: ChangeKind,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum ChangeKind {
    /// A value of this length was written.
    Put {
        bytes: usize,
        expires: Option<WallTime>,
    },
    Deleted,
    /// It was removed after its time to live.
    Expired,
}

/// The id of an event: `RUN-NUMBER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id {
    /// The start of the service, in milliseconds since 1970.
    run: u64,
    pub(crate) number: u64,
}

/// The last changes. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct History {
    run: u64,
    log: Arc<Mutex<Log>>,
}

#[derive(Debug)]
struct Log {
    /// The number of changes so far.
    count: u64,
    /// The last changes.
    kept: VecDeque<Change>,
    max: usize,
}

/// The changes after an id.
#[derive(Debug)]
pub(crate) enum Replay {
    Complete(Vec<Change>),
    /// Some changes are no longer kept.
    Unknown,
}

impl History {
    /// Makes a history that keeps up to `max` changes.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            run: WallTime::now().milliseconds(),
            log: Arc::new(Mutex::new(Log {
                count: 0,
                kept: VecDeque::new(),
                max,
            })),
        }
    }

    pub(crate) fn add(&self, key: Key, kind: ChangeKind) -> Change {
        let mut log = self.log();
        log.count += 1;
        let number = log.count;
        let change = Change { number, key, kind };
        log.kept.push_back(change.clone());
        if log.kept.len() > log.max {
            log.kept.pop_front();
        }
        change
    }

    /// Returns the number of the last change.
    pub(crate) fn count(&self) -> u64 {
        self.log().count
    }

    pub(crate) fn id(&self, number: u64) -> Id {
        let run = self.run;
        Id { run, number }
    }

    /// Returns the changes after an id, and the number of the last change.
    pub(crate) fn since(&self, id: Id) -> (Replay, u64) {
        let log = self.log();
        let first_kept = log.count - log.kept.len() as u64 + 1;
        let is_known = id.run == self.run
            && (first_kept..=log.count + 1).contains(&id.number.saturating_add(1));
        let replay = if is_known {
            let seen = usize::try_from(id.number + 1 - first_kept).unwrap_or(usize::MAX);
            Replay::Complete(log.kept.iter().skip(seen).cloned().collect())
        } else {
            Replay::Unknown
        };
        (replay, log.count)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.run, self.number)
    }
}

impl FromStr for Id {
    type Err = Option<ParseIntError>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (run, number) = text.split_once('-').ok_or(None)?;
        let number = number.parse().map_err(Some)?;
        let run = run.parse().map_err(Some)?;
        Ok(Self { run, number })
    }
}
