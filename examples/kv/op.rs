//! The requests to the store, its replies and its errors.

use std::{convert::Infallible, sync::Arc};

use axum::body::Bytes;
use serde::Serialize;
use thiserror::Error;

use crate::{key::Key, memory::BudgetedValue, ttl::Ttl};

/// A request to the store.
#[derive(Debug)]
pub(crate) enum Op {
    Get(Get),
    Put(Put),
    Delete(Delete),
    List(List),
    Crash(Crash),
}

/// A reply of the store.
#[derive(Debug)]
pub(crate) enum Reply {
    Get(Option<BudgetedValue>),
    Put(()),
    Delete(bool),
    List(Listing),
    #[expect(dead_code, reason = "the store panics instead")]
    Crash(Infallible),
}

ump::impl_ask!(Op, Reply, StoreError:
    Get => Option<BudgetedValue>,
    Put => (),
    Delete => bool,
    List => Listing,
    Crash => Infallible,
);

#[derive(Debug)]
pub(crate) struct Get(pub(crate) Key);

/// When there is a reply, the value is on disk.
#[derive(Debug)]
pub(crate) struct Put(pub(crate) Key, pub(crate) Option<Ttl>, pub(crate) Bytes);

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
