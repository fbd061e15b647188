//! The blocking side: one thread that owns the database and serves requests in batches, one transaction per batch.
//!
//! A commit waits for the disk, and that wait is nearly all the cost of a write. So whatever has queued up during one
//! commit goes into the next one together. Nobody is answered before the commit, not even a reader: it may have read
//! what an earlier request of the same batch wrote.

use std::{io, path::Path, sync::Arc, thread, time::Duration};

use axum::body::Bytes;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::Serialize;
use tokio::sync::oneshot;
use ump::{ReplyContext, Server, Stats};

use crate::{key::Key, recent::Recent};

/// In bytes.
pub(crate) const MAX_VALUE: usize = 1024 * 1024;

/// The largest number of requests in one transaction.
pub(crate) const MAX_BATCH: usize = 256;

const CREATE: &str =
    "CREATE TABLE IF NOT EXISTS kv (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL)";
const GET: &str = "SELECT value FROM kv WHERE key = ?";
const PUT: &str =
    "INSERT INTO kv (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value";
const DELETE: &str = "DELETE FROM kv WHERE key = ?";
const LIST: &str = "SELECT key, length(value) FROM kv WHERE key >= ? ORDER BY key";

/// What the store can be asked for.
#[derive(Debug)]
pub(crate) enum Op {
    Get(Key),
    Put(Key, Bytes),
    Delete(Key),
    List { prefix: String, limit: usize },
}

/// How the store answers.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It was written, and is on disk.
    Done,
    /// There is no such key.
    Absent,
    Value(Vec<u8>),
    Keys(Vec<Entry>),
}

#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    key: String,
    /// The length of its value.
    bytes: usize,
}

/// Why the store refuses.
#[derive(Clone, Debug)]
pub(crate) enum StoreError {
    /// When its turn came nobody waited for it any more, so it was not executed.
    Late,
    /// Shared, because all the writes of a batch fail together.
    Database(Arc<rusqlite::Error>),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

/// Troubles to order, so that one can see what callers see then.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Before each batch.
    pub(crate) delay: Duration,
    /// With this batch in hand, counted from one.
    pub(crate) panic_at: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Store {
    db: Connection,
}

impl Store {
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let db = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        // It is ours alone while we run: a second service on the same file fails here, and at once.
        db.busy_timeout(Duration::ZERO)?;
        db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        // A commit returns when it is on disk, so what was acknowledged survives a crash and a power cut.
        db.pragma_update(None, "synchronous", "FULL")?;
        // On macOS there is an fsync that reaches the disk, and the other one. Elsewhere this changes nothing.
        db.pragma_update(None, "fullfsync", true)?;
        db.execute_batch(&format!("BEGIN IMMEDIATE; {CREATE}; COMMIT"))?;
        // Now rather than at the first request, in case there is another kind of table under that name.
        for sql in [GET, PUT, DELETE, LIST] {
            db.prepare_cached(sql)?;
        }
        Ok(Self { db })
    }

    /// Starts the storage thread, which ends when the queue is empty and no client is left. What comes back resolves then:
    /// to the final figures, or to an error if the thread panicked.
    pub(crate) fn spawn(
        mut self,
        server: Server<Op, Reply, StoreError>,
        faults: Faults,
        sizes: Arc<Recent>,
    ) -> io::Result<oneshot::Receiver<Stats>> {
        let (ended, end) = oneshot::channel();
        thread::Builder::new()
            .name("storage".to_owned())
            .spawn(move || {
                let stats = self.run(&server, faults, &sizes);
                // Closes the database, which tidies up its files.
                drop(self);
                // Nobody listens if the service has ended without us.
                let _ = ended.send(stats);
            })?;
        Ok(end)
    }

    fn run(
        &mut self,
        server: &Server<Op, Reply, StoreError>,
        faults: Faults,
        sizes: &Recent,
    ) -> Stats {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        let mut batches = 0;
        while let Ok(size) = server.wait_many(&mut batch, MAX_BATCH) {
            sizes.record(size as u64);
            batches += 1;
            thread::sleep(faults.delay);
            assert!(
                faults.panic_at != Some(batches),
                "asked to panic at batch {batches}"
            );
            self.execute(&mut batch);
        }
        server.stats()
    }

    /// Executes the batch, then answers it. That a caller may have left by then is no concern of ours.
    fn execute(&mut self, batch: &mut Vec<(Op, ReplyContext<Reply, StoreError>)>) {
        match self.commit(batch) {
            Ok(replies) => {
                for ((_, caller), reply) in batch.drain(..).zip(replies) {
                    let _ = caller.answer(reply.ok_or(StoreError::Late));
                }
            }
            // The writes never happened. The reads may have seen them, so they are done again.
            Err(error) => {
                for (op, caller) in batch.drain(..) {
                    let answer = match op {
                        Op::Put(..) | Op::Delete(_) => Err(error.clone()),
                        Op::Get(_) | Op::List { .. } => {
                            apply(&self.db, &op).map_err(StoreError::from)
                        }
                    };
                    let _ = caller.answer(answer);
                }
            }
        }
    }

    /// All of the batch in one transaction, or nothing of it. `None` stands for a request that nobody waits for any more,
    /// which is not executed.
    fn commit(
        &mut self,
        batch: &[(Op, ReplyContext<Reply, StoreError>)],
    ) -> Result<Vec<Option<Reply>>, StoreError> {
        let transaction = self.db.transaction()?;
        let replies = batch
            .iter()
            .map(|(op, caller)| {
                if caller.is_cancelled() {
                    Ok(None)
                } else {
                    apply(&transaction, op).map(Some)
                }
            })
            .collect::<Result<_, _>>()?;
        transaction.commit()?;
        Ok(replies)
    }
}

fn apply(db: &Connection, op: &Op) -> rusqlite::Result<Reply> {
    match op {
        Op::Get(key) => {
            let value = db
                .prepare_cached(GET)?
                .query_row([key.as_str()], |row| row.get(0))
                .optional()?;
            Ok(value.map_or(Reply::Absent, Reply::Value))
        }
        Op::Put(key, value) => {
            db.prepare_cached(PUT)?
                .execute(params![key.as_str(), &value[..]])?;
            Ok(Reply::Done)
        }
        Op::Delete(key) => match db.prepare_cached(DELETE)?.execute([key.as_str()])? {
            0 => Ok(Reply::Absent),
            _ => Ok(Reply::Done),
        },
        Op::List { prefix, limit } => {
            let mut keys = Vec::new();
            let mut statement = db.prepare_cached(LIST)?;
            let mut rows = statement.query([prefix])?;
            // Keys come in order, so those with the prefix come first and together.
            while let Some(row) = rows.next()? {
                let entry = Entry {
                    key: row.get(0)?,
                    bytes: row.get(1)?,
                };
                if keys.len() == *limit || !entry.key.starts_with(prefix) {
                    break;
                }
                keys.push(entry);
            }
            Ok(Reply::Keys(keys))
        }
    }
}
