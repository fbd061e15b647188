//! The file: its schema, and what is done to it.
//!
//! | `user_version` | table `kv` |
//! |--:|---|
//! | 0 | `key`, `value`; or no table yet |
//! | 1 | `key`, `expires` (milliseconds since 1970, or null), `value` |
//!
//! A file of an earlier version is brought up to date when it is opened, in one transaction. One of a later version is refused.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::{
    Connection, ErrorCode, MAIN_DB, OpenFlags, OptionalExtension, TransactionBehavior, params,
    types::ValueRef,
};
use serde::Serialize;

use crate::{
    key::Key,
    op::StoreError,
    room::{Held, Room},
    ttl::WallTime,
};

const VERSION: i64 = 1;

/// The life's end is before the value, as SQLite reads a row from the front: nobody has to walk through a long value to get at it.
const FROM_0_TO_1: &str = "\
    CREATE TABLE IF NOT EXISTS kv (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL); \
    CREATE TABLE kv_1 (key TEXT NOT NULL PRIMARY KEY, expires INTEGER, value BLOB NOT NULL); \
    INSERT INTO kv_1 (key, value) SELECT key, value FROM kv; \
    DROP TABLE kv; \
    ALTER TABLE kv_1 RENAME TO kv; \
    CREATE INDEX kv_expires ON kv (expires) WHERE expires IS NOT NULL; \
    PRAGMA user_version = 1";

const GET: &str = "SELECT value FROM kv WHERE key = ?1 AND (expires IS NULL OR expires > ?2)";
const PUT: &str = "INSERT INTO kv (key, expires, value) VALUES (?1, ?2, ?3) \
    ON CONFLICT DO UPDATE SET expires = excluded.expires, value = excluded.value";
const DELETE: &str = "DELETE FROM kv WHERE key = ?1 AND (expires IS NULL OR expires > ?2)";
const LIST: &str = "SELECT key, length(value) FROM kv \
    WHERE key >= ?1 AND (expires IS NULL OR expires > ?2) ORDER BY key";
const MORTAL: &str = "SELECT key, expires FROM kv WHERE expires IS NOT NULL";
const BURY: &str = "DELETE FROM kv WHERE key = ?1 AND expires <= ?2";
const EXPIRES: &str = "SELECT expires FROM kv WHERE key = ?1 AND expires IS NOT NULL";

/// How long a write waits for another program that writes to the file, such as `sqlite3`.
const BUSY: Duration = Duration::from_secs(1);

/// A part of the list of keys.
#[derive(Debug, Serialize)]
pub(crate) struct Listing {
    keys: Vec<Entry>,
    /// If there are more keys: the last of these, after which the next part begins.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Entry {
    key: String,
    /// The length of its value.
    bytes: usize,
}

/// An open file, and the lock that keeps a second service away from it.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) db: Connection,
    _lock: Option<Connection>,
}

/// What has become of a key that was to be removed as its life was over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Burial {
    Done,
    /// It lives until then.
    TooEarly(WallTime),
    /// It is gone, or lives for ever.
    Needless,
}

/// Whether there is no file.
pub(crate) fn is_in_memory(path: &Path) -> bool {
    path == Path::new(":memory:")
}

/// Opens the file, or makes it.
pub(crate) fn open(path: &Path) -> Result<Database, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags)?;
    if db.is_readonly(MAIN_DB)? {
        return Err(StoreError::ReadOnly("file"));
    }
    // A second service on the same file fails here, and at once.
    let lock = if is_in_memory(path) {
        None
    } else {
        Some(lock(path).map_err(|error| in_folder(path, error))?)
    };
    db.busy_timeout(BUSY)?;
    db.pragma_update(None, "journal_mode", "WAL")
        .map_err(|error| in_folder(path, error))?;
    // A commit returns when it is on disk, so what was acknowledged survives a crash and a power cut.
    db.pragma_update(None, "synchronous", "FULL")?;
    // On macOS there is an fsync that reaches the disk, and the other one. Elsewhere this changes nothing.
    db.pragma_update(None, "fullfsync", true)?;
    migrate(&mut db)?;
    // Now rather than at the first request, in case there is another kind of table under that name.
    for sql in [GET, PUT, DELETE, LIST, MORTAL, BURY, EXPIRES] {
        db.prepare_cached(sql)?;
    }
    Ok(Database { db, _lock: lock })
}

/// An empty database beside the file, which is locked for as long as the connection is open. The file itself is not: a backup reads it
/// while the service writes.
fn lock(path: &Path) -> rusqlite::Result<Connection> {
    let lock = Connection::open(beside(path, "-lock"))?;
    lock.busy_timeout(Duration::ZERO)?;
    // Nothing is ever written to it, so it needs no file for a journal.
    lock.pragma_update(None, "journal_mode", "MEMORY")?;
    lock.execute_batch("BEGIN EXCLUSIVE")?;
    Ok(lock)
}

/// A file in the same folder, whose name is longer by this.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// SQLite needs files beside the database, and calls it by other names if it cannot make them.
fn in_folder(path: &Path, error: rusqlite::Error) -> StoreError {
    let code = error.sqlite_error_code();
    let is_refused = matches!(
        code,
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
    );
    if is_refused && path.is_file() {
        StoreError::ReadOnly("folder")
    } else {
        error.into()
    }
}

fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match transaction.pragma_query_value(None, "user_version", |row| row.get(0))? {
        0 => transaction.execute_batch(FROM_0_TO_1)?,
        VERSION => {}
        version => return Err(StoreError::Version(version)),
    }
    Ok(transaction.commit()?)
}

/// The keys as they are at one time: what has expired by then is not there, whether or not it has been removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) db: &'a Connection,
    pub(crate) now: WallTime,
}

impl View<'_> {
    /// Returns the value, if there is room for it in memory.
    pub(crate) fn get(&self, key: &Key, room: &Room) -> Result<Option<Held>, StoreError> {
        let unreadable = |error| StoreError::Unreadable {
            what: format!("the value of {:?}", key.as_str()),
            error: Arc::new(error),
        };
        let read = || {
            let mut statement = self.db.prepare_cached(GET)?;
            let mut rows = statement.query(params![key.as_str(), self.now])?;
            let Some(row) = rows.next()? else {
                return Ok(None);
            };
            let value = row.get_ref(0)?.as_blob().map_err(|_| {
                let name = "value".to_owned();
                rusqlite::Error::InvalidColumnType(0, name, row.get_ref_unwrap(0).data_type())
            })?;
            Ok(Some(room.hold(value)))
        };
        match read() {
            Ok(None) => Ok(None),
            Ok(Some(held)) => held.map(Some).ok_or(StoreError::NoRoom),
            Err(error) => Err(unreadable(error)),
        }
    }

    /// Writes a value, in the place of whatever there is: without a life's end it lives for ever.
    pub(crate) fn put(
        &self,
        key: &Key,
        expires: Option<WallTime>,
        value: &[u8],
    ) -> rusqlite::Result<()> {
        self.db
            .prepare_cached(PUT)?
            .execute(params![key.as_str(), expires, value])?;
        Ok(())
    }

    /// Returns whether it was there.
    pub(crate) fn delete(&self, key: &Key) -> rusqlite::Result<bool> {
        let deleted = self
            .db
            .prepare_cached(DELETE)?
            .execute(params![key.as_str(), self.now])?;
        Ok(deleted > 0)
    }

    /// Lists so many keys with the prefix that come after a key. Others are not looked at.
    pub(crate) fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing, StoreError> {
        // The least text that is greater.
        let after = after.map(|key| format!("{key}\0")).unwrap_or_default();
        let begin = after.as_str().max(prefix);
        let unreadable = |key: &str, error| StoreError::Unreadable {
            what: format!("the list at {key:?}"),
            error: Arc::new(error),
        };
        let mut keys = Vec::new();
        let mut last = begin.to_owned();
        let mut statement = self
            .db
            .prepare_cached(LIST)
            .map_err(|e| unreadable(&last, e))?;
        let mut rows = statement
            .query(params![begin, self.now])
            .map_err(|e| unreadable(&last, e))?;
        // Keys come in order, so those with the prefix come first and together. What is no text comes last, and is no key.
        while let Some(row) = rows.next().map_err(|e| unreadable(&last, e))? {
            let ValueRef::Text(bytes) = row.get_ref(0).map_err(|e| unreadable(&last, e))? else {
                break;
            };
            if !bytes.starts_with(prefix.as_bytes()) {
                break;
            }
            if keys.len() == limit {
                let next = Some(last);
                return Ok(Listing { keys, next });
            }
            let entry = row.get(0).and_then(|key| {
                let bytes = row.get(1)?;
                Ok(Entry { key, bytes })
            });
            let entry = entry.map_err(|e| unreadable(&String::from_utf8_lossy(bytes), e))?;
            last.clone_from(&entry.key);
            keys.push(entry);
        }
        Ok(Listing { keys, next: None })
    }

    /// Calls `mortal` for each key that is to expire or has expired, with when; and `bad` with the key, as far as it can be read,
    /// of each row of which that cannot be told.
    pub(crate) fn each_mortal(
        &self,
        mut mortal: impl FnMut(Key, WallTime),
        mut bad: impl FnMut(String),
    ) -> rusqlite::Result<()> {
        let mut statement = self.db.prepare_cached(MORTAL)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let expires = match row.get_ref(1)? {
                ValueRef::Integer(milliseconds) => Some(WallTime::from(milliseconds)),
                #[allow(clippy::cast_possible_truncation, reason = "it saturates")]
                ValueRef::Real(milliseconds) => Some(WallTime::from(milliseconds as i64)),
                _ => None,
            };
            match (row.get::<_, Key>(0), expires) {
                (Ok(key), Some(expires)) => mortal(key, expires),
                _ => bad(match row.get_ref(0)? {
                    ValueRef::Text(key) | ValueRef::Blob(key) => {
                        format!("{:?}", String::from_utf8_lossy(key))
                    }
                    other => format!("{other:?}"),
                }),
            }
        }
        Ok(())
    }

    /// Removes a key if it has expired.
    pub(crate) fn bury(&self, key: &Key) -> rusqlite::Result<Burial> {
        let buried = self
            .db
            .prepare_cached(BURY)?
            .execute(params![key.as_str(), self.now])?;
        if buried > 0 {
            return Ok(Burial::Done);
        }
        let expires = self
            .db
            .prepare_cached(EXPIRES)?
            .query_row([key.as_str()], |row| {
                // Anything but a number is later than all times.
                Ok(match row.get_ref(0)? {
                    ValueRef::Integer(milliseconds) => Some(WallTime::from(milliseconds)),
                    _ => None,
                })
            })
            .optional()?;
        Ok(expires.flatten().map_or(Burial::Needless, Burial::TooEarly))
    }
}
