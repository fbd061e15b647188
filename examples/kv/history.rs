//! The last changes, for watchers that come back.
//!
//! A change has a number, from one, since the service started, and an id of which the first part is this start: so the id of a change before it is
//! not taken for another.

use std::{
    collections::VecDeque,
    fmt,
    num::ParseIntError,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{key::Key, ttl::WallTime};

/// A key changed.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The number of this change since the service started, from one.
    pub(crate) number: u64,
    pub(crate) key: Key,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// It was written: so many bytes, until then.
    Put {
        bytes: usize,
        expires: Option<WallTime>,
    },
    Deleted,
    /// It was removed as its life was over.
    Expired,
}

/// The id of an event: `RUN-NUMBER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id {
    /// When the service started, in milliseconds since 1970.
    run: u64,
    pub(crate) number: u64,
}

/// Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct History {
    run: u64,
    past: Arc<Mutex<Past>>,
}

#[derive(Debug)]
struct Past {
    /// How many changes there were.
    count: u64,
    /// The last ones.
    kept: VecDeque<Change>,
    max: usize,
}

/// What followed an id.
#[derive(Debug)]
pub(crate) enum Since {
    /// All of it.
    All(Vec<Change>),
    /// Nobody knows any more.
    Unknown,
}

impl History {
    /// Keeps so many changes.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            run: WallTime::now().milliseconds(),
            past: Arc::new(Mutex::new(Past {
                count: 0,
                kept: VecDeque::new(),
                max,
            })),
        }
    }

    pub(crate) fn add(&self, key: Key, what: What) -> Change {
        let mut past = self.past();
        past.count += 1;
        let number = past.count;
        let change = Change { number, key, what };
        past.kept.push_back(change.clone());
        if past.kept.len() > past.max {
            past.kept.pop_front();
        }
        change
    }

    /// The number of the last change.
    pub(crate) fn count(&self) -> u64 {
        self.past().count
    }

    pub(crate) fn id(&self, number: u64) -> Id {
        let run = self.run;
        Id { run, number }
    }

    /// Returns what followed an id, and the number of the last change.
    pub(crate) fn since(&self, id: Id) -> (Since, u64) {
        let past = self.past();
        let first_kept = past.count - past.kept.len() as u64 + 1;
        let is_known = id.run == self.run
            && (first_kept..=past.count + 1).contains(&id.number.saturating_add(1));
        let since = if is_known {
            let told = usize::try_from(id.number + 1 - first_kept).unwrap_or(usize::MAX);
            Since::All(past.kept.iter().skip(told).cloned().collect())
        } else {
            Since::Unknown
        };
        (since, past.count)
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
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
