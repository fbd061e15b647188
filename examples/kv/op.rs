//! What the store can be asked for, how it answers, and why it refuses.

use std::{error::Error, fmt, sync::Arc};

use axum::body::Bytes;

use crate::{database::Listing, key::Key, room::Held, ttl::Ttl};

/// What the store can be asked for.
#[derive(Debug)]
pub(crate) enum Op {
    Get(Key),
    Put(Key, Option<Ttl>, Bytes),
    Delete(Key),
    List {
        prefix: String,
        after: Option<String>,
        limit: usize,
    },
    /// To panic.
    Crash,
}

/// How the store answers.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It was written, and is on disk.
    Done,
    /// There is no such key.
    Absent,
    Value(Held),
    Keys(Listing),
}

/// Why the store refuses.
#[derive(Clone, Debug)]
pub(crate) enum StoreError {
    /// When its turn came nobody waited for it any more, so it was not executed.
    Late,
    /// A write failed, and was rolled back.
    Database(Arc<rusqlite::Error>),
    /// A read failed.
    Unreadable {
        what: String,
        error: Arc<rusqlite::Error>,
    },
    /// The values that are being sent take all the memory there is for them.
    NoRoom,
    /// The database, or the folder it is in, cannot be written to.
    ReadOnly(&'static str),
    /// The file has this version of the schema, which we do not know.
    Version(i64),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => f.write_str("nobody waits any more"),
            Self::Database(error) => error.fmt(f),
            Self::Unreadable { what, error } => write!(f, "cannot read {what}: {error}"),
            Self::NoRoom => f.write_str("too many bytes of values are being sent"),
            Self::ReadOnly(what) => write!(f, "the {what} is read-only"),
            Self::Version(version) => write!(f, "it was made by another kv: schema {version}"),
        }
    }
}

impl Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}
