//! The requests to the store, its replies and its errors.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use serde::Serialize;
use thiserror::Error;

use super::{
    key::Key,
    memory::BudgetedValue,
    ttl::{Ttl, WallTime},
};

/// A request to the store.
#[derive(Debug)]
pub(crate) enum Op {
    Get(Get),
    Put(Put),
    PutIf(PutIf),
    Add(Add),
    Delete(Delete),
    Count(Count),
    List(List),
    Crash(Crash),
}

/// A reply of the store.
#[derive(Debug)]
pub(crate) enum Reply {
    Get(Option<BudgetedValue>),
    Put(()),
    PutIf(bool),
    Add(Sum),
    Delete(bool),
    Count(u64),
    List(Listing),
    #[expect(dead_code, reason = "the store panics instead")]
    Crash(Infallible),
}

ump::impl_ask!(Op, Reply, StoreError:
    Get => Option<BudgetedValue>,
    Put => (),
    PutIf => bool,
    Add => Sum,
    Delete => bool,
    Count => u64,
    List => Listing,
    Crash => Infallible,
);

impl Op {
    /// Returns whether it may change the database.
    pub(crate) fn writes(&self) -> bool {
        match self {
            Self::Put(_) | Self::PutIf(_) | Self::Add(_) | Self::Delete(_) => true,
            Self::Get(_) | Self::Count(_) | Self::List(_) | Self::Crash(_) => false,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Get(pub(crate) Key);

/// When there is a reply, the value is on disk.
#[derive(Debug)]
pub(crate) struct Put(pub(crate) Key, pub(crate) Option<Ttl>, pub(crate) Bytes);

/// Writes only under a condition. The reply is whether it was met.
#[derive(Debug)]
pub(crate) struct PutIf(pub(crate) Put, pub(crate) Condition);

/// The condition of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "HTTP has no such requests yet, tcp-gateway has")]
pub(crate) enum Condition {
    /// The key does not exist.
    Absent,
    /// The key exists.
    Present,
}

impl Condition {
    pub(crate) fn is_met(self, exists: bool) -> bool {
        exists == (self == Self::Present)
    }
}

/// Adds a number to the number that a value is, in decimal. A key that does not exist counts as
/// zero. The expiry time stays.
#[derive(Debug)]
pub(crate) struct Add(pub(crate) Key, pub(crate) i64);

/// The result of an addition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sum {
    pub(crate) value: i64,
    pub(crate) expires: Option<WallTime>,
}

/// The reply is the number of keys. It reads all of them.
#[derive(Debug)]
pub(crate) struct Count;

/// The reply is whether the key existed.
#[derive(Debug)]
pub(crate) struct Delete(pub(crate) Key);

#[derive(Debug)]
pub(crate) struct List {
    pub(crate) prefix: String,
    pub(crate) after: Option<String>,
    pub(crate) limit: usize,
}

/// Makes the store panic.
#[derive(Debug)]
pub(crate) struct Crash;

/// A part of the list of keys.
#[derive(Debug, Serialize)]
pub(crate) struct Listing {
    pub(crate) keys: Vec<Entry>,
    /// The last of these keys, if more keys follow.
    pub(crate) next: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// The length of the value.
    pub(crate) bytes: usize,
}

/// Why the store fails a request, or cannot be opened.
#[derive(Clone, Debug, Error)]
pub(crate) enum StoreError {
    /// The caller had left before the request was executed.
    #[error("the deadline passed before the store executed the request: it never will")]
    Late,
    /// A write failed and was rolled back.
    #[error(transparent)]
    Database(Arc<rusqlite::Error>),
    /// A read failed.
    #[error("the store cannot read {what}: {error}")]
    Unreadable {
        what: String,
        error: Arc<rusqlite::Error>,
    },
    /// The value is not a number, or the sum is too large.
    #[error("{0}")]
    NotANumber(&'static str),
    /// The memory budget for outgoing values is used up.
    #[error("too many bytes of values are being sent")]
    OutOfMemory,
    /// The database file or its folder cannot be written to.
    #[error("the {0} is read-only")]
    ReadOnly(&'static str),
    /// The schema of the file has an unknown version.
    #[error("it was made by another kv: schema {0}")]
    UnknownVersion(i64),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}
