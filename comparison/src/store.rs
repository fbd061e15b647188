//! The store that all programs share: texts by key, in SQLite. Its methods block.

use std::{
    error::Error,
    fmt, fs,
    io::Read,
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

/// Owns the connection.
pub(crate) struct Store {
    connection: Connection,
}

/// The reason why a method of the store failed.
#[derive(Debug)]
pub(crate) enum StoreError {
    NotFound,
    /// The key has a value already.
    Exists,
    Sqlite(rusqlite::Error),
}

/// The result of a method of the store.
pub(crate) type Result<T> = std::result::Result<T, StoreError>;

impl Store {
    /// Opens the database, and counts how often that is done.
    ///
    /// If the file `refuse` is beside the database, it fails and removes that file: the next call
    /// succeeds.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if fs::remove_file(refusal(path)).is_ok() {
            return Err(StoreError::Sqlite(rusqlite::Error::InvalidQuery));
        }
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS texts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
             CREATE TABLE IF NOT EXISTS openings (n INTEGER PRIMARY KEY);
             INSERT INTO openings DEFAULT VALUES;",
        )?;
        Ok(Self { connection })
    }

    pub(crate) fn get(&mut self, key: &str) -> Result<String> {
        let query = "SELECT value FROM texts WHERE key = ?1";
        let value = self.connection.query_row(query, [key], |row| row.get(0));
        value.optional()?.ok_or(StoreError::NotFound)
    }

    /// Stores a value under a new key.
    pub(crate) fn put(&mut self, key: &str, value: &str) -> Result<()> {
        let insert = "INSERT INTO texts (key, value) VALUES (?1, ?2)";
        match self.connection.execute(insert, params![key, value]) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                Err(StoreError::Exists)
            }
            done => Ok(done.map(drop)?),
        }
    }

    /// Waits at the gate, and then stores an empty value.
    pub(crate) fn put_slowly(&mut self, key: &str, gate: u16) -> Result<()> {
        wait_at(gate);
        self.put(key, "")
    }

    /// Begins a transaction, waits at the gate and panics.
    pub(crate) fn crash(&mut self, gate: u16) -> Result<()> {
        self.connection.execute_batch("BEGIN")?;
        self.put("half", "")?;
        wait_at(gate);
        panic!("on purpose");
    }
}

/// Blocks until the test that listens on this port closes the connection. By accepting it, the test
/// learns that the method is executed.
fn wait_at(gate: u16) {
    if let Ok(mut gate) = TcpStream::connect((Ipv4Addr::LOCALHOST, gate)) {
        let _ = gate.read(&mut [0]);
    }
}

/// Returns the path of the file that makes the next [`open`](Store::open) fail.
fn refusal(database: &Path) -> PathBuf {
    database.with_file_name("refuse")
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("no such key"),
            Self::Exists => f.write_str("the key exists"),
            Self::Sqlite(error) => error.fmt(f),
        }
    }
}

impl Error for StoreError {}
