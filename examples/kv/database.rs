//! The file: its schema, and what is done to it.
//!
//! | `user_version` | table `kv` |
//! |--:|---|
//! | 0 | `key`, `value`; or no table yet |
//! | 1 | `key`, `expires` (milliseconds since 1970, or null), `value` |
//!
//! A file of an earlier version is brought up to date when it is opened, in one transaction. One of a later version is refused.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};
use serde::Serialize;

use crate::{key::Key, store::StoreError, ttl::WallTime};

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

#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    key: String,
    /// The length of its value.
    bytes: usize,
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

/// Opens the file, or makes it.
pub(crate) fn open(path: &Path) -> Result<Connection, StoreError> {
    let mut db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    // It is ours alone while we run: a second service on the same file fails here, and at once.
    db.busy_timeout(std::time::Duration::ZERO)?;
    db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    // A commit returns when it is on disk, so what was acknowledged survives a crash and a power cut.
    db.pragma_update(None, "synchronous", "FULL")?;
    // On macOS there is an fsync that reaches the disk, and the other one. Elsewhere this changes nothing.
    db.pragma_update(None, "fullfsync", true)?;
    migrate(&mut db)?;
    // Now rather than at the first request, in case there is another kind of table under that name.
    for sql in [GET, PUT, DELETE, LIST, MORTAL, BURY, EXPIRES] {
        db.prepare_cached(sql)?;
    }
    Ok(db)
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
    pub(crate) fn get(&self, key: &Key) -> rusqlite::Result<Option<Vec<u8>>> {
        self.db
            .prepare_cached(GET)?
            .query_row(params![key.as_str(), self.now], |row| row.get(0))
            .optional()
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

    pub(crate) fn list(&self, prefix: &str, limit: usize) -> rusqlite::Result<Vec<Entry>> {
        let mut keys = Vec::new();
        let mut statement = self.db.prepare_cached(LIST)?;
        let mut rows = statement.query(params![prefix, self.now])?;
        // Keys come in order, so those with the prefix come first and together.
        while let Some(row) = rows.next()? {
            let entry = Entry {
                key: row.get(0)?,
                bytes: row.get(1)?,
            };
            if keys.len() == limit || !entry.key.starts_with(prefix) {
                break;
            }
            keys.push(entry);
        }
        Ok(keys)
    }

    /// Calls this for each key that is to expire or has expired, with when.
    pub(crate) fn each_mortal(&self, mut f: impl FnMut(Key, WallTime)) -> rusqlite::Result<()> {
        let mut statement = self.db.prepare_cached(MORTAL)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            f(row.get(0)?, row.get(1)?);
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
            .query_row([key.as_str()], |row| row.get(0))
            .optional()?;
        Ok(expires.map_or(Burial::Needless, Burial::TooEarly))
    }
}
