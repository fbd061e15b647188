//! The database file: its schema and its operations.
//!
//! | `user_version` | table `kv` |
//! |--:|---|
//! | 0 | `key`, `value`; or no table yet |
//! | 1 | `key`, `expires` (milliseconds since 1970, or null), `value` |
//!
//! A file of an earlier version is migrated when it is opened, in one transaction. A later version
//! is an error.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::{
    Connection, ErrorCode, MAIN_DB, OpenFlags, OptionalExtension, Row, TransactionBehavior, params,
    types::ValueRef,
};

use super::{
    key::Key,
    memory::{BudgetedValue, MemoryBudget},
    op::{Entry, Listing, StoreError, Sum},
    ttl::WallTime,
};

const VERSION: i64 = 1;

/// `expires` comes before `value`: SQLite reads a row from the front, and need not skip a long
/// value.
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
/// Also the expiry time, which is null if there is none.
const GET_ALL: &str =
    "SELECT value, expires FROM kv WHERE key = ?1 AND (expires IS NULL OR expires > ?2)";
const COUNT: &str = "SELECT count(*) FROM kv WHERE expires IS NULL OR expires > ?1";
const DELETE: &str = "DELETE FROM kv WHERE key = ?1 AND (expires IS NULL OR expires > ?2)";
const LIST: &str = "SELECT key, length(value) FROM kv \
    WHERE key >= ?1 AND (expires IS NULL OR expires > ?2) ORDER BY key";
const EXPIRING: &str = "SELECT key, expires FROM kv WHERE expires IS NOT NULL";
const REMOVE_EXPIRED: &str = "DELETE FROM kv WHERE key = ?1 AND expires <= ?2";
const EXPIRES: &str = "SELECT expires FROM kv WHERE key = ?1 AND expires IS NOT NULL";

/// How long a write waits for another program that writes to the file, such as `sqlite3`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// An open file, and the lock that excludes other services.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) db: Connection,
    _lock: Option<Connection>,
}

/// The outcome of the removal of an expired key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Removal {
    Removed,
    /// The key expires at this time.
    NotYet(WallTime),
    /// The key does not exist, or does not expire.
    NotNeeded,
}

/// Returns whether the database is in memory.
pub(crate) fn is_in_memory(path: &Path) -> bool {
    path == Path::new(":memory:")
}

/// Opens the file, or creates it.
pub(crate) fn open(path: &Path) -> Result<Database, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags)?;
    if db.is_readonly(MAIN_DB)? {
        return Err(StoreError::ReadOnly("file"));
    }
    // A second service on the same file fails here at once.
    let lock = if is_in_memory(path) {
        None
    } else {
        Some(lock(path).map_err(|error| in_folder(path, error))?)
    };
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "journal_mode", "WAL")
        .map_err(|error| in_folder(path, error))?;
    // A commit returns when it is on disk, so acknowledged writes survive a crash and a power cut.
    db.pragma_update(None, "synchronous", "FULL")?;
    // On macOS only this kind of fsync reaches the disk. Elsewhere it changes nothing.
    db.pragma_update(None, "fullfsync", true)?;
    migrate(&mut db)?;
    // Fails now rather than at the first request if the table has another schema.
    for sql in [
        GET,
        GET_ALL,
        PUT,
        DELETE,
        COUNT,
        LIST,
        EXPIRING,
        REMOVE_EXPIRED,
        EXPIRES,
    ] {
        db.prepare_cached(sql)?;
    }
    Ok(Database { db, _lock: lock })
}

/// Locks an empty database beside the file while the connection is open. The file itself stays
/// unlocked, as a backup reads it while the service writes.
fn lock(path: &Path) -> rusqlite::Result<Connection> {
    let lock = Connection::open(beside(path, "-lock"))?;
    lock.busy_timeout(Duration::ZERO)?;
    // Nothing is written to it, so it needs no journal file.
    lock.pragma_update(None, "journal_mode", "MEMORY")?;
    lock.execute_batch("BEGIN EXCLUSIVE")?;
    Ok(lock)
}

/// Returns a path in the same folder whose name has a suffix.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Maps the errors that SQLite returns if it cannot create files beside the database.
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
        version => return Err(StoreError::UnknownVersion(version)),
    }
    Ok(transaction.commit()?)
}

/// The keys at one time: keys that have expired by then do not exist, whether or not they were
/// removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) db: &'a Connection,
    pub(crate) now: WallTime,
}

impl View<'_> {
    /// Returns a value, if the memory budget allows it.
    pub(crate) fn get(
        &self,
        key: &Key,
        memory: &MemoryBudget,
    ) -> Result<Option<BudgetedValue>, StoreError> {
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
            Ok(Some(memory.try_copy(value)))
        };
        match read() {
            Ok(None) => Ok(None),
            Ok(Some(value)) => value.map(Some).ok_or(StoreError::OutOfMemory),
            Err(error) => Err(unreadable(error)),
        }
    }

    /// Writes or replaces a value. Without `expires` it does not expire.
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

    /// Returns whether a key exists.
    pub(crate) fn exists(&self, key: &Key) -> rusqlite::Result<bool> {
        let mut statement = self.db.prepare_cached(GET_ALL)?;
        statement.exists(params![key.as_str(), self.now])
    }

    /// Adds a number to that of a key.
    pub(crate) fn add(&self, key: &Key, number: i64) -> Result<Sum, StoreError> {
        const NOT_A_NUMBER: StoreError =
            StoreError::NotANumber("the value is not an integer of 64 bits");
        let parse = |value: &[u8]| std::str::from_utf8(value).ok()?.parse::<i64>().ok();
        let mut statement = self.db.prepare_cached(GET_ALL)?;
        let found = statement.query_row(params![key.as_str(), self.now], |row| {
            let value = match row.get_ref(0)? {
                ValueRef::Blob(value) => parse(value),
                _ => None,
            };
            Ok((value, expiry(row, 1)?))
        });
        let (old, expires) = found.optional()?.unwrap_or((Some(0), None));
        let old = old.ok_or(NOT_A_NUMBER)?;
        let value = old
            .checked_add(number)
            .ok_or(StoreError::NotANumber("the sum is too large"))?;
        self.put(key, expires, value.to_string().as_bytes())?;
        Ok(Sum { value, expires })
    }

    /// Counts the keys.
    pub(crate) fn count(&self) -> rusqlite::Result<u64> {
        let mut statement = self.db.prepare_cached(COUNT)?;
        let count: i64 = statement.query_row(params![self.now], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Deletes a key, and returns whether it existed.
    pub(crate) fn delete(&self, key: &Key) -> rusqlite::Result<bool> {
        let deleted = self
            .db
            .prepare_cached(DELETE)?
            .execute(params![key.as_str(), self.now])?;
        Ok(deleted > 0)
    }

    /// Lists keys with the prefix that follow a key. It reads no others.
    pub(crate) fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing, StoreError> {
        // The smallest text that is greater.
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
        // Keys are ordered, so those with the prefix are adjacent. Values other than text come last
        // and are not keys.
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

    /// Calls `expiring` for each key with an expiry time, and `bad` for each row whose expiry time
    /// cannot be read.
    pub(crate) fn for_each_expiring(
        &self,
        mut expiring: impl FnMut(Key, WallTime),
        mut bad: impl FnMut(String),
    ) -> rusqlite::Result<()> {
        let mut statement = self.db.prepare_cached(EXPIRING)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let expires = match row.get_ref(1)? {
                ValueRef::Integer(milliseconds) => Some(WallTime::from(milliseconds)),
                #[allow(clippy::cast_possible_truncation, reason = "it saturates")]
                ValueRef::Real(milliseconds) => Some(WallTime::from(milliseconds as i64)),
                _ => None,
            };
            match (row.get::<_, Key>(0), expires) {
                (Ok(key), Some(expires)) => expiring(key, expires),
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
    pub(crate) fn remove_expired(&self, key: &Key) -> rusqlite::Result<Removal> {
        let removed = self
            .db
            .prepare_cached(REMOVE_EXPIRED)?
            .execute(params![key.as_str(), self.now])?;
        if removed > 0 {
            return Ok(Removal::Removed);
        }
        let expires = self
            .db
            .prepare_cached(EXPIRES)?
            .query_row([key.as_str()], |row| expiry(row, 0))
            .optional()?;
        Ok(expires
            .flatten()
            .map_or(Removal::NotNeeded, Removal::NotYet))
    }
}

/// Reads an expiry time. SQLite orders everything but a number after all times.
fn expiry(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<WallTime>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(milliseconds) => Some(WallTime::from(milliseconds)),
        _ => None,
    })
}
